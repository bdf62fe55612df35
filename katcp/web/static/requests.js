// Requests: a form for each, made of what is known of its arguments, and what came of calling it.

import { $, el, setAttribute, setText } from "./dom.js";

const MOST_RESULTS = 30;
const MOST_INFORMS = 500;
// Of these one should be sure.
const GRAVE = new Set(["halt", "restart"]);

export class Requests {
  constructor(send) {
    this.send = send;
    this.requests = new Map();
    this.chosen = null;
    this.calls = new Map(); // id -> element and the like, while it is under way
    this.lastId = 0;
    this.list = $("request-list");
    $("request-filter").addEventListener("input", () => this.renderList());
    this.list.addEventListener("click", (event) => {
      const item = event.target.closest("[role=option]");
      if (item) this.choose(item.dataset.name);
    });
    this.list.addEventListener("keydown", (event) => this.key(event));
  }

  take(requests) {
    const before = this.requests.get(this.chosen);
    this.requests = new Map(requests.map((request) => [request.name, request]));
    this.renderList();
    const now = this.requests.get(this.chosen);
    // What somebody is typing stays, unless the request has changed under it.
    if (this.chosen !== null && JSON.stringify(before) !== JSON.stringify(now)) {
      if (now) this.renderForm(now);
      else this.renderGone();
    }
  }

  shown() {
    const words = $("request-filter").value.trim().toLowerCase();
    return [...this.requests.values()].filter(
      ({ name, description }) => !words || `${name} ${description}`.toLowerCase().includes(words),
    );
  }

  renderList() {
    this.list.replaceChildren(
      ...this.shown().map(({ name, description }) =>
        el(
          "li",
          {
            role: "option",
            id: `request-${name}`,
            "data-name": name,
            "aria-selected": name === this.chosen ? "true" : "false",
          },
          el("span", { class: "name" }, name),
          el("span", { class: "brief" }, brief(description)),
        ),
      ),
    );
    setAttribute(this.list, "aria-activedescendant", this.chosen && `request-${this.chosen}`);
  }

  key(event) {
    const names = this.shown().map((request) => request.name);
    const at = names.indexOf(this.chosen);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: names.length - 1 }[event.key];
    if (to !== undefined && names.length) {
      this.choose(names[Math.max(0, Math.min(names.length - 1, to))], false);
      $(`request-${this.chosen}`).scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter" && this.chosen) {
      this.focusForm();
    } else {
      return;
    }
    event.preventDefault();
  }

  choose(name, focus = true) {
    this.chosen = name;
    this.renderList();
    this.renderForm(this.requests.get(name));
    if (focus) this.focusForm();
  }

  focusForm() {
    const first = $("request-form").querySelector("input, select, button[type=submit]");
    first?.focus();
    if (matchMedia("(max-width: 700px)").matches) $("request-form").scrollIntoView();
  }

  renderGone() {
    $("request-form").replaceChildren(el("p", { class: "empty" }, `The device has no ?${this.chosen} any more.`));
    this.chosen = null;
  }

  renderForm(request) {
    const inputs = el("div", { class: "inputs" });
    const { parameters } = request;
    const fields = [];
    if (parameters === null) {
      this.addFree(inputs, fields);
      inputs.after();
    } else {
      for (const parameter of parameters) this.addField(inputs, fields, parameter);
    }
    const more =
      parameters === null || parameters.some((parameter) => parameter.many)
        ? el(
            "button",
            {
              type: "button",
              onclick: () => {
                if (parameters === null) this.addFree(inputs, fields).focus();
                else this.addField(inputs, fields, parameters.find((parameter) => parameter.many)).focus();
              },
            },
            "One more argument",
          )
        : null;
    const error = el("p", { class: "error", role: "alert", hidden: true });
    const form = el(
      "form",
      {
        onsubmit: (event) => {
          event.preventDefault();
          const problem = this.submit(request, fields);
          error.hidden = !problem;
          setText(error, problem);
        },
      },
      el("h2", {}, `?${request.name}`),
      request.timeout_hint ? el("p", { class: "hint" }, `It may take ${request.timeout_hint} s.`) : null,
      el("pre", { class: "help" }, request.description),
      inputs,
      parameters !== null && !parameters.length ? el("p", { class: "hint" }, "It takes no arguments.") : null,
      parameters === null
        ? el("p", { class: "hint" }, "The types of its arguments are not known: they are sent as they are typed; empty ones at the end are left out.")
        : null,
      error,
      el("p", { class: "buttons" }, el("button", { type: "submit", class: "primary" }, `Call ${request.name}`), more),
    );
    $("request-form").replaceChildren(form);
  }

  addFree(inputs, fields) {
    const input = el("input", { type: "text", autocomplete: "off", spellcheck: "false" });
    inputs.append(el("label", {}, el("span", { class: "name" }, `Argument ${fields.length + 1}`), input));
    fields.push({ read: () => (input.value === "" ? undefined : input.value), free: true });
    return input;
  }

  addField(inputs, fields, parameter) {
    const { input, read } = control(parameter);
    const about = describe(parameter);
    inputs.append(
      el("label", {}, el("span", { class: "name" }, parameter.name), input, el("span", { class: "hint" }, about)),
    );
    fields.push({ read, parameter });
    return input;
  }

  // Returns what is wrong with what was typed; "" if it is sent.
  submit(request, fields) {
    const read = fields.map((field) => field.read());
    while (read.length && read.at(-1) === undefined) read.pop();
    const words = [];
    for (const [index, text] of read.entries()) {
      const { parameter, free } = fields[index];
      if (text !== undefined) words.push(text);
      else if (free) words.push("");
      else if (parameter.default !== null) words.push(parameter.default);
      else return `${parameter.name} is missing, and there is something behind it.`;
    }
    for (const { parameter } of fields.slice(words.length)) {
      if (parameter && !parameter.optional && !parameter.many) return `${parameter.name} is missing.`;
    }
    if (GRAVE.has(request.name)) confirmed(request.name, () => this.call(request.name, words));
    else this.call(request.name, words);
    return "";
  }

  call(name, words) {
    const id = ++this.lastId;
    const state = el("strong", { class: "state" }, "under way…");
    const informs = el("ol", { class: "informs" });
    const reply = el("p", { class: "reply", hidden: true });
    const result = el(
      "article",
      { "data-state": "waiting" },
      el("header", {}, el("code", {}, line("?", name, words)), el("time", {}, new Date().toLocaleTimeString()), state),
      informs,
      reply,
    );
    const results = $("request-results");
    results.prepend(result);
    while (results.children.length > MOST_RESULTS) results.lastChild.remove();
    if (matchMedia("(max-width: 700px)").matches) result.scrollIntoView({ block: "nearest" });
    this.calls.set(id, { result, state, informs, reply, count: 0, begun: performance.now() });
    if (!this.send({ type: "call", id, name, arguments: words })) this.fail(id, "not sent", "The connection to the device is lost.");
  }

  takeInform(id, words) {
    const call = this.calls.get(id);
    if (!call) return;
    call.count += 1;
    if (call.count <= MOST_INFORMS) call.informs.append(el("li", {}, ...words.map((word) => el("span", {}, word))));
  }

  takeReply(id, status, words, informs) {
    const call = this.calls.get(id);
    if (!call) return;
    if (status !== "ok") {
      this.fail(id, status === "fail" ? "failed" : status, words.join(" ") || "The device has given no reason.");
      return;
    }
    this.calls.delete(id);
    call.result.dataset.state = "ok";
    setText(call.state, `✓ ok, ${duration(call.begun)}`);
    const left = Math.max(0, (informs ?? 0) - MOST_INFORMS);
    if (left) call.informs.after(el("p", { class: "hint" }, `${left} more lines are not shown.`));
    call.reply.hidden = !words.length;
    call.reply.replaceChildren(...words.map((word) => el("span", {}, word)));
  }

  fail(id, how, why) {
    const call = this.calls.get(id);
    if (!call) return;
    this.calls.delete(id);
    call.result.dataset.state = "failed";
    setText(call.state, `✕ ${how}, ${duration(call.begun)}`);
    call.reply.hidden = false;
    call.reply.replaceChildren(el("span", {}, why));
  }

  lose() {
    for (const id of [...this.calls.keys()]) {
      this.fail(id, "unknown", "The connection was lost before the reply came; the request may have been carried out.");
    }
  }
}

// An input that fits a parameter, and what reads it: a text, or undefined for nothing.
function control(parameter) {
  const shown = parameter.default ?? "";
  if (parameter.choices.length || parameter.type === "boolean") {
    if (parameter.type === "boolean" && (!parameter.optional || parameter.default !== null)) {
      const box = el("input", { type: "checkbox" });
      box.checked = parameter.default === "1";
      return { input: box, read: () => (box.checked ? "1" : "0") };
    }
    const words = parameter.choices.length
      ? parameter.choices.map((word) => [word, word])
      : [
          ["1", "true"],
          ["0", "false"],
        ];
    const select = el("select", {}, ...words.map(([word, text]) => el("option", { value: word }, text)));
    const leaveOut = parameter.optional && parameter.default === null;
    if (leaveOut) select.prepend(el("option", { value: "", "data-none": true }, "(leave out)"));
    select.selectedIndex = leaveOut ? 0 : Math.max(0, parameter.choices.indexOf(parameter.default ?? ""));
    return {
      input: select,
      read: () => (select.selectedOptions[0]?.dataset.none !== undefined ? undefined : select.value),
    };
  }
  const properties = { autocomplete: "off", spellcheck: "false", placeholder: parameter.optional && !shown ? "(leave out)" : null };
  if (parameter.type === "integer" || parameter.type === "float") {
    const input = el("input", {
      ...properties,
      type: "number",
      step: parameter.type === "integer" ? "1" : "any",
      min: plain(parameter.minimum),
      max: plain(parameter.maximum),
    });
    input.value = shown;
    return { input, read: () => (input.value === "" ? undefined : input.value) };
  }
  const input = el("input", { ...properties, type: "text" });
  input.value = shown;
  // An empty text is a text, where one has to be given.
  const must = !parameter.optional && !parameter.many && parameter.type === "string";
  return { input, read: () => (input.value === "" && !must ? undefined : input.value) };
}

function plain(text) {
  return text !== null && Number.isFinite(Number(text)) ? text : null;
}

function describe(parameter) {
  const { minimum, maximum } = parameter;
  const range =
    minimum !== null && maximum !== null
      ? `, ${minimum} to ${maximum}`
      : minimum !== null
        ? `, at least ${minimum}`
        : maximum !== null
          ? `, at most ${maximum}`
          : "";
  const when = parameter.many ? ", any number of them" : parameter.optional ? ", may be left out" : "";
  return `${parameter.type}${range}${when}`;
}

function brief(description) {
  return description.split("\n", 1)[0];
}

function duration(begun) {
  const passed = (performance.now() - begun) / 1000;
  return passed < 0.1 ? `${Math.max(1, Math.round(passed * 1000))} ms` : `${passed.toFixed(1)} s`;
}

// A message as one would type it.
function line(kind, name, words) {
  return kind + [name, ...words.map((word) => (/^[^\s"']+$/.test(word) ? word : JSON.stringify(word)))].join(" ");
}

function confirmed(name, carryOut) {
  const dialog = $("confirm");
  setText($("confirm-text"), `?${name} ends or restarts the device, for everybody.`);
  dialog.returnValue = "no";
  dialog.onclose = () => dialog.returnValue === "yes" && carryOut();
  dialog.showModal();
}
