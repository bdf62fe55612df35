// Who is connected to the device, and the numbers of its server; asked for while one looks.

import { $, el } from "./dom.js";
import { age, instant } from "./format.js";

const KINDS = { katcp: "KATCP", page: "page", api: "API" };
const INTERVAL = 2000;

export class Clients {
  constructor(model, send) {
    this.model = model;
    this.send = send;
    this.you = "";
    setInterval(() => this.ask(), INTERVAL);
  }

  ask() {
    if (!$("panel-clients").hidden && !document.hidden) this.send({ type: "clients" });
  }

  take({ clients, statistics, refused }) {
    const now = this.model.now();
    const rows = clients.map(({ address, kind, since, subscriptions }) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, address === this.you ? `${address} (this page)` : address),
        el("td", {}, Object.hasOwn(KINDS, kind) ? KINDS[kind] : kind),
        el("td", { title: instant(since) }, age(now - since)),
        el("td", { class: "number" }, String(subscriptions)),
      ),
    );
    if (refused) rows.push(el("tr", {}, el("td", { colspan: 4 }, `The device does not tell: ${refused}`)));
    $("clients").tBodies[0].replaceChildren(...rows);
    $("statistics").tBodies[0].replaceChildren(
      ...Object.entries(statistics).map(([name, number]) =>
        el("tr", {}, el("th", { scope: "row" }, name.replaceAll("_", " ")), el("td", { class: "number" }, String(number))),
      ),
    );
  }
}
