// Sensors by group, as rows of which only those in view exist: 10,000 are as quick as ten.
//
// A name like a.b.c is sensor c in group b of group a. Each group counts its sensors by status, so
// that a group that is closed still shows the worst of what is in it.

import { $, el, setAttribute, setText } from "./dom.js";
import { age, ago, isPlottable, statusOf, value } from "./format.js";

const OVERSCAN = 8;
// With more sensors than that, groups are closed at first.
const MOST_OPEN = 250;

export class Tree {
  constructor(model, { onSelect, onPlot }) {
    this.model = model;
    this.onSelect = onSelect;
    this.onPlot = onPlot;
    this.root = group("", "", null);
    this.open = new Map(); // path of a group -> whether, where somebody has said so
    this.rows = [];
    this.active = -1;
    this.activeKey = null;
    this.filter = "";
    this.statuses = new Set();
    this.dirty = true;
    this.elements = new Map();
    this.box = $("tree");
    this.space = $("tree-space");
    this.rowHeight = 36;
    model.onSensor = (sensor) => this.place(sensor);
    model.onGone = (sensor) => this.remove(sensor);
    model.onStatus = (sensor, before) => this.count(sensor, before);
    this.box.addEventListener("scroll", () => this.render(), { passive: true });
    this.box.addEventListener("click", (event) => this.click(event));
    this.box.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.render()).observe(this.box);
    const phone = matchMedia("(max-width: 700px)");
    const measure = () => {
      this.rowHeight = phone.matches ? 58 : 34;
      this.box.style.setProperty("--row", `${this.rowHeight}px`);
      this.render();
    };
    phone.addEventListener("change", measure);
    measure();
  }

  // -- groups ----------------------------------------------------------------------------

  place(sensor) {
    if (sensor.group) return void (sensor.haystack = haystack(sensor));
    const parts = sensor.name.split(".");
    let node = this.root;
    let path = "";
    for (const part of parts.slice(0, -1)) {
      path += `${part}.`;
      let next = node.groups.get(part);
      if (!next) node.groups.set(part, (next = group(part, path, node)));
      node = next;
    }
    node.sensors.set(sensor.name, sensor);
    sensor.group = node;
    sensor.label = parts.at(-1);
    sensor.haystack = haystack(sensor);
    for (let up = node; up; up = up.parent) up.size += 1;
    this.bump(sensor, sensor.status, 1);
    this.dirty = true;
  }

  remove(sensor) {
    this.bump(sensor, sensor.status, -1);
    sensor.group.sensors.delete(sensor.name);
    for (let node = sensor.group; node; node = node.parent) {
      node.size -= 1;
      if (!node.size && node.parent) node.parent.groups.delete(node.label);
    }
    sensor.group = null;
    this.dirty = true;
  }

  count(sensor, before) {
    this.bump(sensor, before, -1);
    this.bump(sensor, sensor.status, 1);
    if (this.statuses.size) this.dirty = true;
  }

  bump(sensor, status, by) {
    if (!status) return;
    for (let node = sensor.group; node; node = node.parent) {
      node.counts.set(status, (node.counts.get(status) ?? 0) + by);
    }
  }

  isOpen(node) {
    if (this.filter || this.statuses.size) return this.open.get(`/${node.path}`) ?? true;
    return this.open.get(node.path) ?? this.model.sensors.size <= MOST_OPEN;
  }

  setOpen(node, open) {
    this.open.set(this.filter || this.statuses.size ? `/${node.path}` : node.path, open);
    this.dirty = true;
    this.render();
  }

  setAllOpen(open) {
    const visit = (node) => {
      this.open.set(this.filter || this.statuses.size ? `/${node.path}` : node.path, open);
      node.groups.forEach(visit);
    };
    visit(this.root);
    this.dirty = true;
    this.render();
  }

  setFilter(text, statuses) {
    this.filter = text.trim().toLowerCase();
    this.statuses = statuses;
    for (const key of [...this.open.keys()]) if (key.startsWith("/")) this.open.delete(key);
    this.dirty = true;
    this.box.scrollTop = 0;
    this.render();
  }

  // -- rows ------------------------------------------------------------------------------

  flatten() {
    const words = this.filter.split(/\s+/).filter(Boolean);
    const filtered = words.length > 0 || this.statuses.size > 0;
    const rows = [];
    const wanted = (sensor) =>
      (!this.statuses.size || this.statuses.has(sensor.status)) &&
      words.every((word) => sensor.haystack.includes(word));
    const visit = (node, level) => {
      const start = rows.length;
      let number = 0;
      const open = this.isOpen(node) || node === this.root;
      const row = { group: node, level, key: `/${node.path}`, found: 0 };
      if (node !== this.root) rows.push(row);
      const inside = rows.length;
      const groups = sorted(node.groups.values(), "label");
      for (const sensor of sorted(node.sensors.values(), "label")) {
        if (filtered && !wanted(sensor)) continue;
        number += 1;
        rows.push({ sensor, level: level + 1, key: sensor.name });
      }
      for (const child of groups) number += visit(child, level + 1);
      row.found = number;
      if (filtered && !number) rows.length = start;
      else if (!open) rows.length = inside;
      return number;
    };
    this.found = visit(this.root, 0);
    this.rows = rows;
    this.dirty = false;
    const index = this.activeKey === null ? -1 : rows.findIndex((row) => row.key === this.activeKey);
    this.active = index >= 0 ? index : Math.min(this.active, rows.length - 1);
    this.space.style.height = `${rows.length * this.rowHeight}px`;
    setAttribute(this.box, "aria-rowcount", rows.length);
    const empty = $("tree-empty");
    empty.hidden = rows.length > 0 || !this.model.session;
    setText(empty, filtered ? "No sensor fits the filter." : "The device has no sensors.");
  }

  render() {
    if (this.dirty) this.flatten();
    const height = this.rowHeight;
    const first = Math.max(0, Math.floor(this.box.scrollTop / height) - OVERSCAN);
    const last = Math.min(
      this.rows.length,
      Math.ceil((this.box.scrollTop + this.box.clientHeight) / height) + OVERSCAN,
    );
    this.space.style.height = `${this.rows.length * height}px`;
    for (const [index, element] of this.elements) {
      if (index < first || index >= last) {
        element.remove();
        this.elements.delete(index);
      }
    }
    const now = this.model.now();
    for (let index = first; index < last; index += 1) {
      let element = this.elements.get(index);
      if (!element) {
        element = makeRow();
        element.id = `row-${index}`;
        element.dataset.index = index;
        element.style.transform = `translateY(${index * height}px)`;
        this.elements.set(index, element);
        this.space.append(element);
      } else if (element.dataset.height !== String(height)) {
        element.style.transform = `translateY(${index * height}px)`;
      }
      element.dataset.height = height;
      this.fill(element, this.rows[index], index, now);
    }
    setAttribute(this.box, "aria-activedescendant", this.active >= 0 ? `row-${this.active}` : null);
  }

  fill(element, row, index, now) {
    setAttribute(element, "aria-level", row.level);
    setAttribute(element, "aria-rowindex", index + 1);
    setAttribute(element, "aria-selected", index === this.active);
    element.style.setProperty("--level", row.level);
    const [name, shown, units, status, when, plot] = element.cells;
    if (row.group) {
      const open = this.isOpen(row.group);
      element.dataset.kind = "group";
      setAttribute(element, "aria-expanded", open);
      setText(name.firstChild, open ? "▾" : "▸");
      setText(name.lastChild, row.group.label);
      setAttribute(name, "title", row.group.path.slice(0, -1));
      const link = this.linkOf(row.group);
      element.dataset.link = link ? link[0] : "";
      const number = row.found === 1 ? "1 sensor" : `${row.found} sensors`;
      setText(shown, link ? `${link} · ${number}` : number);
      setAttribute(shown, "title", null);
      setText(units, "");
      this.fillStatus(status, this.worst(row.group), this.model.live);
      setText(when, "");
      plot.hidden = true;
      return;
    }
    const sensor = row.sensor;
    const live = this.model.live && sensor.fresh;
    element.dataset.kind = live ? "sensor" : "stale";
    setAttribute(element, "aria-expanded", null);
    setText(name.firstChild, "");
    setText(name.lastChild, sensor.label);
    setAttribute(name, "title", `${sensor.name}\n${sensor.description}`);
    setText(shown, value(sensor));
    setAttribute(shown, "title", sensor.value);
    setText(units, sensor.units);
    this.fillStatus(status, sensor.status, live);
    setText(when, age(now - sensor.time));
    plot.hidden = !isPlottable(sensor);
    const plotted = this.model.plotted.includes(sensor.name);
    setAttribute(plot, "aria-pressed", plotted);
    setAttribute(plot, "aria-label", `Plot ${sensor.name}`);
  }

  // The status as colour, symbol and word; what is not known to be so still is said to have been.
  fillStatus(cell, status, live) {
    setAttribute(cell, "data-status", live ? status || "none" : "stale");
    setText(cell.firstChild, !status ? "" : live ? statusOf(status).symbol : "?");
    setText(cell.lastChild, !status ? "…" : live ? status : `was ${status}`);
  }

  worst(node) {
    let found = "";
    for (const [status, number] of node.counts) {
      if (number && (!found || statusOf(status).rank > statusOf(found).rank)) found = status;
    }
    return found;
  }

  // A device behind a proxy is a group; the proxy tells of its link in sensors of its own.
  linkOf(node) {
    if (node.parent !== this.root) return "";
    const about = (what) => this.model.sensors.get(`proxy.${node.label}.${what}`);
    const connected = about("connected");
    if (connected?.type !== "boolean" || !connected.fresh || !this.model.live) return "";
    if (connected.value === "0") return `✕ lost ${ago(this.model.now() - connected.time)}`;
    return about("synced")?.value === "1" ? "✓ linked" : "… getting in step";
  }

  // -- moving ----------------------------------------------------------------------------

  activate(index, scroll = true) {
    if (!this.rows.length) return;
    this.active = Math.max(0, Math.min(this.rows.length - 1, index));
    const row = this.rows[this.active];
    this.activeKey = row.key;
    if (scroll) {
      const top = this.active * this.rowHeight;
      if (top < this.box.scrollTop) this.box.scrollTop = top;
      const bottom = top + this.rowHeight - this.box.clientHeight;
      if (bottom > this.box.scrollTop) this.box.scrollTop = bottom;
    }
    this.render();
    this.onSelect(row.sensor ?? null, false);
  }

  click(event) {
    const element = event.target.closest("[role=row]");
    if (!element) return;
    const index = Number(element.dataset.index);
    const row = this.rows[index];
    if (!row) return;
    if (event.target.closest("button")) {
      this.onPlot(row.sensor);
      this.render();
      return;
    }
    this.activate(index, false);
    if (row.group) this.setOpen(row.group, !this.isOpen(row.group));
    else this.onSelect(row.sensor, true);
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.rowHeight) - 1);
    const row = this.rows[this.active];
    const moves = {
      ArrowDown: 1,
      ArrowUp: -1,
      j: 1,
      k: -1,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity,
    };
    if (event.key in moves) {
      this.activate(Math.max(0, Math.min(this.rows.length - 1, this.active + moves[event.key])));
    } else if (event.key === "ArrowRight" && row?.group) {
      if (!this.isOpen(row.group)) this.setOpen(row.group, true);
      else this.activate(this.active + 1);
    } else if (event.key === "ArrowLeft" && row) {
      if (row.group && this.isOpen(row.group)) this.setOpen(row.group, false);
      else this.activate(this.parentOf(this.active));
    } else if (event.key === "Enter" && row) {
      if (row.group) this.setOpen(row.group, !this.isOpen(row.group));
      else this.onSelect(row.sensor, true);
    } else if ((event.key === "p" || event.key === "P") && row?.sensor) {
      this.onPlot(row.sensor);
      this.render();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  parentOf(index) {
    const { level } = this.rows[index];
    for (let up = index - 1; up >= 0; up -= 1) if (this.rows[up].level < level) return up;
    return index;
  }
}

function group(label, path, parent) {
  return { label, path, parent, groups: new Map(), sensors: new Map(), counts: new Map(), size: 0 };
}

function haystack(sensor) {
  return `${sensor.name} ${sensor.description}`.toLowerCase();
}

const collator = new Intl.Collator("en", { numeric: true });

function sorted(items, key) {
  return [...items].sort((a, b) => collator.compare(a[key], b[key]));
}

function makeRow() {
  const cell = (name, ...children) => el("span", { role: "gridcell", class: name }, ...children);
  const cells = [
    cell("name", el("span", { class: "toggle", "aria-hidden": "true" }), el("span", { class: "label" })),
    cell("value"),
    cell("units"),
    cell("status", el("span", { class: "symbol", "aria-hidden": "true" }), el("span", { class: "word" })),
    cell("age"),
  ];
  const plot = el("button", { type: "button", class: "plot", tabindex: -1, title: "Plot (p)" });
  const row = el("div", { role: "row" }, ...cells, el("span", { role: "gridcell", class: "do" }, plot));
  row.cells = [...cells, plot];
  return row;
}
