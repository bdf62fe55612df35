// The page: brings the parts together, one for each file beside this one.

import { Clients } from "./clients.js";
import { $, eachFrame, el, setText } from "./dom.js";
import { STATUSES, ago, instant, statusOf } from "./format.js";
import { Link } from "./link.js";
import { Log } from "./log.js";
import { Model } from "./model.js";
import { Plot } from "./plot.js";
import { Requests } from "./requests.js";
import { Tree } from "./tree.js";

const TABS = ["sensors", "plot", "requests", "log", "clients"];
const phone = matchMedia("(max-width: 700px)");

const model = new Model();
const plot = new Plot(model);
const tree = new Tree(model, { onSelect: select, onPlot: togglePlot });
let link = null;
const requests = new Requests((message) => link.send(message));
const log = new Log();
const clients = new Clients(model, (message) => link.send(message));
let selected = null;
let tab = null;
const statuses = new Set();

// -- what comes ---------------------------------------------------------------------------

function take(message) {
  switch (message.type) {
    case "hello": {
      const { title, address, versions, protocol } = message.device;
      const device = versions.find(([name]) => name === "katcp-device");
      setText($("title"), title);
      setText($("about"), [address, device?.[1], device?.[2], `KATCP ${protocol}`].filter(Boolean).join(" · "));
      document.title = `${title} ${address}`;
      clients.you = message.you;
      log.restart();
      clients.ask();
      break;
    }
    case "requests":
      requests.take(message.requests);
      break;
    case "inform":
      requests.takeInform(message.id, message.arguments);
      break;
    case "reply":
      requests.takeReply(message.id, message.status, message.arguments, message.informs);
      break;
    case "log":
      log.take(message.lines, message.lost);
      break;
    case "clients":
      clients.take(message);
      break;
    case "note":
      log.take([["warn", model.now(), "page", message.text]], 0);
      break;
  }
  model.take(message);
}

function setState(state, text) {
  $("link").dataset.state = state;
  setText($("link-text"), state === "live" ? "Live" : "Connection lost");
  document.body.classList.toggle("lost", state === "lost");
  if (state === "lost") {
    lostAt ??= Date.now();
    lostWhy = text;
    model.lose();
    requests.lose();
  } else {
    lostAt = null;
  }
  renderBanner();
  render();
}

let lostAt = null;
let lostWhy = "";

// Says since when what is shown is old; a screen reader hears it once, when it appears.
function renderBanner() {
  const banner = $("banner");
  const lost = lostAt !== null;
  if (lost) {
    const why = lostWhy ? ` ${lostWhy}` : "";
    const since = model.session
      ? ` What is shown is from before ${new Date(lostAt).toLocaleTimeString()}, and may be wrong by now.`
      : "";
    setText(banner, `The connection to the device is lost; trying again.${why}${since}`);
  }
  banner.hidden = !lost;
}

// -- rendering: at most once in an animation frame -------------------------------------------

const render = eachFrame(() => {
  tree.render();
  plot.render();
  renderTally();
  renderDetail();
});
model.onChange = render;
// Ages grow, and plots move, when nothing comes too.
setInterval(render, 1000);
setInterval(() => $("panel-plot").hidden || plot.paused !== null || plot.render(), 250);

function renderTally() {
  const box = $("tally");
  if (!box.children.length) {
    const byRank = Object.entries(STATUSES).sort(([, a], [, b]) => b.rank - a.rank);
    for (const [name, { symbol }] of byRank) {
      box.append(
        el(
          "button",
          {
            type: "button",
            "data-status": name,
            "aria-pressed": "false",
            title: `Show only sensors that are ${name}`,
            onclick: () => toggleStatus(name),
          },
          el("span", { class: "symbol", "aria-hidden": "true" }, symbol),
          el("span", { class: "number" }),
          el("span", { class: "word" }, name),
        ),
      );
    }
  }
  for (const button of box.children) {
    const number = tree.root.counts.get(button.dataset.status) ?? 0;
    button.hidden = !number && !statuses.has(button.dataset.status);
    setText(button.querySelector(".number"), String(number));
    button.setAttribute("aria-pressed", statuses.has(button.dataset.status));
  }
}

function toggleStatus(name) {
  if (!statuses.delete(name)) statuses.add(name);
  showTab("sensors");
  tree.setFilter($("filter").value, statuses);
  renderTally();
}

// -- details of one sensor -------------------------------------------------------------------

function select(sensor, open) {
  selected = sensor;
  if (open) $("detail").dataset.open = "yes";
  renderDetail();
}

function renderDetail() {
  const box = $("detail");
  const sensor = selected && model.sensors.get(selected.name);
  box.hidden = !sensor || box.dataset.open !== "yes";
  if (box.hidden) return;
  if (box.dataset.name !== sensor.name || !box.children.length) {
    box.dataset.name = sensor.name;
    box.replaceChildren(
      el("h2", {}, sensor.name),
      el("button", { type: "button", class: "close", "aria-label": "Close the details", title: "Close (Esc)", onclick: closeDetail }, "×"),
      el("p", { class: "description" }),
      el("dl", {}, ...["Value", "Status", "Time", "Type"].flatMap((name) => [el("dt", {}, name), el("dd")])),
    );
  }
  setText(box.querySelector(".description"), sensor.description || "(no description)");
  const [shown, status, time, type] = box.querySelectorAll("dd");
  setText(shown, `${sensor.value} ${sensor.units}`.trim());
  const live = model.live && sensor.fresh;
  setText(status, live ? `${statusOf(sensor.status).symbol} ${sensor.status}` : `was ${sensor.status}`);
  setText(time, Number.isFinite(sensor.time) ? `${instant(sensor.time, true)} (${ago(model.now() - sensor.time)})` : "");
  setText(type, [sensor.type, sensor.params.length ? `of ${sensor.params.join(", ")}` : ""].join(" ").trim());
}

function closeDetail() {
  $("detail").dataset.open = "no";
  renderDetail();
  $("tree").focus();
}

function togglePlot(sensor) {
  const problem = plot.toggle(sensor.name);
  if (problem) announce(problem);
  else if (!phone.matches && model.plotted.includes(sensor.name)) showTab("plot");
}

let announcing = null;

function announce(text) {
  const banner = $("banner");
  setText(banner, text);
  banner.hidden = false;
  clearTimeout(announcing);
  announcing = setTimeout(renderBanner, 4000);
}

// -- tabs ------------------------------------------------------------------------------------

function showTab(name) {
  // Beside the sensors, which a wide page always shows, there is one of the others.
  if (!phone.matches && name === "sensors") return;
  tab = name;
  for (const other of TABS) {
    const here = other === name;
    $(`panel-${other}`).hidden = !here && !(other === "sensors" && !phone.matches);
    $(`tab-${other}`).setAttribute("aria-selected", here);
    $(`tab-${other}`).tabIndex = here ? 0 : -1;
  }
  if (name === "log") log.seen();
  if (name === "clients") clients.ask();
  plot.render(true);
  tree.render();
}

$("tabs").addEventListener("click", (event) => {
  const button = event.target.closest("[role=tab]");
  if (button) showTab(button.id.slice(4));
});
$("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const names = TABS.filter((name) => phone.matches || name !== "sensors");
  const next = names[(names.indexOf(tab) + step + names.length) % names.length];
  showTab(next);
  $(`tab-${next}`).focus();
  event.preventDefault();
});
const arrange = () => showTab(phone.matches ? "sensors" : tab && tab !== "sensors" ? tab : "plot");
phone.addEventListener("change", arrange);
arrange();

// -- filter and keyboard ---------------------------------------------------------------------

$("filter").addEventListener("input", () => tree.setFilter($("filter").value, statuses));
$("filter").addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === "ArrowDown") {
    $("tree").focus();
    tree.activate(Math.max(0, tree.active));
    event.preventDefault();
  }
});
$("expand").addEventListener("click", () => tree.setAllOpen(true));
$("collapse").addEventListener("click", () => tree.setAllOpen(false));

const KEYS = [
  ["/", "Filter the sensors", () => (showTab("sensors"), focusOn("filter"))],
  ["s", "Go to the sensors", () => (showTab("sensors"), focusOn("tree"))],
  ["g", "Show the plot", () => (showTab("plot"), focusOn("tab-plot"))],
  ["r", "Go to the requests", () => (showTab("requests"), focusOn("request-filter"))],
  ["l", "Show the log", () => (showTab("log"), focusOn("log"))],
  ["u", "Show the clients", () => (showTab("clients"), focusOn("tab-clients"))],
  ["p", "Plot the sensor, or take it out (in the list)"],
  ["Space", "Pause the plot, or go on", () => plot.togglePause(), " "],
  ["t", "Plot as a table of numbers, or back", () => (showTab("plot"), plot.toggleTable())],
  ["e", "Open all groups", () => tree.setAllOpen(true)],
  ["c", "Close all groups", () => tree.setAllOpen(false)],
  ["↑ ↓ ← →", "Move in the list; close and open groups"],
  ["Enter", "Details of the sensor (in the list)"],
  ["Esc", "Close the details; clear a filter"],
  ["?", "This help", showHelp],
];

function focusOn(id) {
  $(id).focus();
}

function showHelp() {
  const list = $("help-keys");
  if (!list.children.length) {
    list.append(...KEYS.flatMap(([key, what]) => [el("dt", {}, ...key.split(" ").map((one) => el("kbd", {}, one))), el("dd", {}, what)]));
  }
  $("help").showModal();
}

$("help-button").addEventListener("click", showHelp);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, select, textarea");
  if (event.key === "Escape") {
    if (typing?.type === "search") {
      typing.value = "";
      typing.dispatchEvent(new Event("input"));
      typing.blur();
    } else if (!$("detail").hidden) {
      closeDetail();
    }
    return;
  }
  if (typing) return;
  // Space presses a button that has the focus.
  if (event.key === " " && event.target.closest("button, summary, a")) return;
  const found = KEYS.find(([key, , act, other]) => act && (other ?? key) === event.key);
  if (!found) return;
  found[2]();
  event.preventDefault();
});

// What is old is not to look new after the computer has slept: ages are counted from the clock.
document.addEventListener("visibilitychange", () => document.hidden || render());

link = new Link(take, setState);
