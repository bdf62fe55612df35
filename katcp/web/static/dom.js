// Making elements. Whatever a device sends becomes a text node or an attribute, never markup:
// there is no innerHTML in these files, and the policy of the page forbids it.

export const $ = (id) => document.getElementById(id);

// el("p", {class: "x", onclick: f, "aria-label": "y"}, "text", otherElement)
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Touching the document only where something differs keeps rendering cheap.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

// Calls `render` in the next animation frame, however often it is asked for until then.
export function eachFrame(render) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      render();
    });
  };
}
