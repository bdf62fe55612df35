// The device's log as it comes. Kept and shown in bounded numbers.

import { $, el, eachFrame, setText } from "./dom.js";
import { instant } from "./format.js";

const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"];
const SYMBOLS = { trace: "·", debug: "·", info: "i", warn: "▲", error: "✕", fatal: "‼" };
const MOST = 2000;

export class Log {
  constructor() {
    this.lines = [];
    this.waiting = [];
    this.unseen = 0;
    this.follow = true;
    this.list = $("log");
    this.render = eachFrame(() => this.append());
    for (const id of ["log-level", "log-filter"]) $(id).addEventListener("input", () => this.renderAll());
    $("log-clear").addEventListener("click", () => {
      this.lines = [];
      this.renderAll();
    });
    $("log-follow").addEventListener("click", () => this.setFollow(!this.follow));
    // Who scrolls up wants to read; who scrolls to the end wants to follow.
    this.list.addEventListener(
      "scroll",
      () => {
        const box = this.list;
        this.setFollow(box.scrollTop + box.clientHeight >= box.scrollHeight - 8, false);
      },
      { passive: true },
    );
  }

  setFollow(follow, scroll = true) {
    this.follow = follow;
    $("log-follow").setAttribute("aria-pressed", follow);
    if (follow && scroll) this.list.scrollTop = this.list.scrollHeight;
  }

  // The server sends the last lines again when the link is back.
  restart() {
    this.lines = [];
    this.renderAll();
  }

  take(lines, lost) {
    const now = Date.now() / 1000;
    if (lost) this.waiting.push({ level: "warn", time: now, name: "page", text: `${lost} lines were left out: they came too fast.` });
    for (const [level, time, name, text] of lines) this.waiting.push({ level, time, name, text });
    if (this.waiting.length > MOST) this.waiting.splice(0, this.waiting.length - MOST);
    if ($("panel-log").hidden) this.unseen += lines.filter(([level]) => rank(level) >= 3).length;
    this.render();
  }

  seen() {
    this.unseen = 0;
    this.render();
  }

  wanted(line) {
    const words = $("log-filter").value.trim().toLowerCase();
    const least = LEVELS.indexOf($("log-level").value);
    return rank(line.level) >= least && (!words || `${line.name} ${line.text}`.toLowerCase().includes(words));
  }

  append() {
    const lines = this.waiting;
    this.waiting = [];
    this.lines.push(...lines);
    if (this.lines.length > MOST) this.lines.splice(0, this.lines.length - MOST);
    this.list.append(...lines.filter((line) => this.wanted(line)).map(row));
    while (this.list.children.length > MOST) this.list.firstChild.remove();
    this.finish();
  }

  renderAll() {
    this.list.replaceChildren(...this.lines.filter((line) => this.wanted(line)).map(row));
    this.finish();
  }

  finish() {
    $("log-empty").hidden = this.list.children.length > 0;
    if (this.follow) this.list.scrollTop = this.list.scrollHeight;
    setText($("log-count"), this.unseen ? ` ${this.unseen > 99 ? "99+" : this.unseen}` : "");
  }
}

function rank(level) {
  const found = LEVELS.indexOf(level);
  return found < 0 ? 3 : found;
}

function row({ level, time, name, text }) {
  return el(
    "li",
    { "data-level": LEVELS.includes(level) ? level : "warn" },
    el("time", { title: instant(time, true) }, instant(time, true).slice(11, 23)),
    el("span", { class: "level" }, el("span", { class: "symbol", "aria-hidden": "true" }, SYMBOLS[level] ?? "▲"), level),
    el("span", { class: "name" }, name),
    el("span", { class: "text" }, text),
  );
}
