// Sensors over time, by uPlot; the same as numbers in a table.
//
// Numbers of the same units share an axis. Words of a discrete sensor have an axis of their own,
// and are drawn as steps, as booleans are. Where the value says nothing, the line has a gap.

import uPlot from "./vendor/uPlot.esm.js";
import { $, el, setText } from "./dom.js";
import { instant, isStepped, isValid, value } from "./format.js";

const DASHES = [[], [8, 4], [2, 3], [10, 4, 2, 4], [4, 4], [14, 4], [2, 6], [6, 2, 2, 2, 2, 2]];
const MOST = DASHES.length;
const TABLE_ROWS = 200;
// Redrawing more often than that shows nothing more [ms].
const INTERVAL = 200;

export class Plot {
  constructor(model) {
    this.model = model;
    this.chart = null;
    this.shown = "";
    this.paused = null; // the time at the right edge, while paused
    this.zoom = null; // [from, to] while something is picked out
    this.asTable = false;
    this.cursor = null; // place in the data
    this.drawn = 0;
    $("plot-window").addEventListener("change", () => this.resume());
    $("plot-pause").addEventListener("click", () => this.togglePause());
    $("plot-table-button").addEventListener("click", () => this.toggleTable());
    $("plot-clear").addEventListener("click", () => [...model.plotted].forEach((name) => model.plot(name, false)));
    new ResizeObserver(() => this.resize()).observe($("plot"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.shown = "";
      this.render(true);
    });
  }

  // Returns why a sensor is not plotted; "" if it is.
  toggle(name) {
    if (!this.model.plotted.includes(name) && this.model.plotted.length >= MOST) {
      return `${MOST} sensors are as many as one can tell apart in a plot.`;
    }
    this.model.plot(name, !this.model.plotted.includes(name));
    return "";
  }

  togglePause() {
    if (this.paused === null) this.paused = this.model.now();
    else this.resume();
    this.render(true);
  }

  resume() {
    this.paused = null;
    this.zoom = null;
    this.render(true);
  }

  toggleTable() {
    this.asTable = !this.asTable;
    $("plot-table-button").setAttribute("aria-pressed", this.asTable);
    this.render(true);
  }

  render(atOnce = false) {
    setText($("plot-count"), this.model.plotted.length ? ` ${this.model.plotted.length}` : "");
    if ($("panel-plot").hidden) return;
    const time = performance.now();
    if (!atOnce && time - this.drawn < INTERVAL) return;
    this.drawn = time;
    const sensors = this.sensors();
    const button = $("plot-pause");
    button.setAttribute("aria-pressed", this.paused !== null);
    setText(button, this.paused === null ? "Pause" : "Resume");
    $("plot-empty").hidden = sensors.length > 0;
    $("plot").hidden = this.asTable || !sensors.length;
    $("plot-table").hidden = !this.asTable || !sensors.length;
    this.renderLegend(sensors);
    if (!sensors.length) return;
    if (this.asTable) this.renderTable(sensors);
    else this.renderChart(sensors);
  }

  range() {
    if (this.zoom) return this.zoom;
    const end = this.paused ?? this.model.now();
    return [end - Number($("plot-window").value), end];
  }

  renderChart(sensors) {
    const [from, to] = this.range();
    const shown = JSON.stringify(sensors.map((s) => [s.name, s.type, s.units, s.params]));
    const data = this.collect(sensors, from, to);
    if (shown !== this.shown) {
      this.chart?.destroy();
      this.cursor = null;
      this.chart = new uPlot(this.options(sensors), data, $("plot"));
      this.shown = shown;
    } else {
      this.chart.setData(data, false);
    }
    this.chart.batch(() => {
      this.chart.setScale("x", { min: from, max: to });
    });
  }

  // Returns times, and for each sensor a number at each of them.
  collect(sensors, from, to) {
    const now = this.paused ?? this.model.now();
    const tables = sensors.map((sensor) => {
      const { times, numbers } = sensor;
      // One point before the window, so that the line comes in from the left.
      let first = lowerBound(times, from);
      if (first > 0) first -= 1;
      const last = lowerBound(times, to + 1);
      let x = times.slice(first, last);
      let y = numbers.slice(first, last);
      [x, y] = thinned(x, y, 4000);
      const end = y.at(-1);
      // What has not changed is still so, as far as we are told.
      const present = this.model.live && sensor.fresh && isValid(sensor.status);
      if (present && end !== undefined && end !== null && last === times.length && now > x.at(-1)) {
        x.push(now);
        y.push(end);
      }
      return [x, y];
    });
    if (tables.every(([x]) => !x.length)) return [[], ...tables.map(() => [])];
    return uPlot.join(tables, tables.map(() => [, 2]));
  }

  options(sensors) {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const scales = { x: { time: true } };
    const axes = [
      {
        space: 72,
        values: (chart, splits) => {
          const fine = splits.length > 1 && splits[1] - splits[0] < 60;
          return splits.map((at) => instant(at).slice(11, fine ? 19 : 16));
        },
        stroke: color("--muted"),
        grid: { stroke: color("--grid"), width: 1 },
        ticks: { stroke: color("--grid"), width: 1 },
      },
    ];
    const series = [{}];
    sensors.forEach((sensor, index) => {
      const scale = scaleOf(sensor);
      if (!scales[scale]) {
        scales[scale] = scaleFor(sensor);
        if (Object.keys(scales).length <= 4) axes.push(axisFor(sensor, scale, axes.length, color));
      }
      series.push({
        label: sensor.name,
        scale,
        stroke: color(`--plot-${index}`),
        width: 2,
        dash: DASHES[index],
        points: { show: false },
        paths: isStepped(sensor) ? uPlot.paths.stepped({ align: 1 }) : undefined,
      });
    });
    const { width, height } = this.size();
    return {
      width,
      height,
      scales,
      axes,
      series,
      legend: { show: false }, // ours shows the values at the cursor
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      cursor: { drag: { x: true, y: false, setScale: false }, focus: { prox: 24 } },
      select: { show: true },
      hooks: {
        setSelect: [
          (chart) => {
            if (chart.select.width < 8) return;
            const { left, width: wide } = chart.select;
            this.paused = this.paused ?? this.model.now();
            this.zoom = [chart.posToVal(left, "x"), chart.posToVal(left + wide, "x")];
            chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            this.render(true);
          },
        ],
        setCursor: [(chart) => this.setCursor(chart.cursor.idx)],
        ready: [(chart) => chart.over.addEventListener("dblclick", () => this.resume())],
      },
    };
  }

  size() {
    const box = $("plot");
    return { width: Math.max(200, box.clientWidth), height: Math.max(160, box.clientHeight - 8) };
  }

  resize() {
    if (this.chart && !$("plot").hidden) this.chart.setSize(this.size());
  }

  // At the cursor a sensor has the value it had last before, if there was one.
  setCursor(index) {
    this.cursor = index ?? null;
    this.renderLegend(this.sensors());
  }

  atCursor(place) {
    const line = this.chart.data[place + 1];
    for (let at = this.cursor; at >= 0; at -= 1) if (line[at] !== undefined) return line[at];
    return null;
  }

  sensors() {
    return this.model.plotted.map((name) => this.model.sensors.get(name)).filter(Boolean);
  }

  renderLegend(sensors) {
    const list = $("plot-legend");
    const key = JSON.stringify(sensors.map((sensor) => sensor.name));
    if (list.dataset.key !== key) {
      list.dataset.key = key;
      list.replaceChildren(
        ...sensors.map((sensor, index) => {
          const line = document.createElementNS("http://www.w3.org/2000/svg", "svg");
          line.setAttribute("viewBox", "0 0 36 8");
          line.setAttribute("class", "line");
          line.setAttribute("aria-hidden", "true");
          const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
          path.setAttribute("d", "M0 4h36");
          path.setAttribute("class", `stroke-${index}`);
          path.setAttribute("stroke-dasharray", DASHES[index].join(" ") || "none");
          line.append(path);
          return el(
            "li",
            {},
            line,
            el("span", { class: "label", title: sensor.description }, sensor.name),
            el("output", {}, ""),
            el(
              "button",
              {
                type: "button",
                "aria-label": `Remove ${sensor.name} from the plot`,
                title: "Remove",
                onclick: () => this.model.plot(sensor.name, false),
              },
              "×",
            ),
          );
        }),
      );
    }
    const at = this.chart && this.cursor !== null && !this.asTable ? this.chart.data[0][this.cursor] : undefined;
    const time = $("plot-time");
    setText(time, at === undefined ? "" : `at ${instant(at, true).slice(11, 22)}`);
    sensors.forEach((sensor, index) => {
      let shown = `${value(sensor)} ${sensor.units}`.trim();
      if (at !== undefined && this.chart.data.length === sensors.length + 1) {
        const found = this.atCursor(index);
        shown = found === null ? "–" : `${worded(sensor, found)} ${sensor.units}`.trim();
      } else if (!this.model.live || !sensor.fresh) {
        shown += " (old)";
      }
      setText(list.children[index].querySelector("output"), shown);
    });
  }

  renderTable(sensors) {
    const [from, to] = this.range();
    const data = this.collect(sensors, from, to);
    const rows = [];
    for (let at = data[0].length - 1; at >= 0 && rows.length < TABLE_ROWS; at -= 1) {
      if (data[0][at] < from) break;
      rows.push(
        el(
          "tr",
          {},
          el("th", { scope: "row" }, instant(data[0][at], true).slice(11, 23)),
          ...sensors.map((sensor, index) => {
            const found = data[index + 1][at];
            const text = found === undefined ? "" : found === null ? "–" : worded(sensor, found);
            return el("td", { class: "number" }, text);
          }),
        ),
      );
    }
    const head = sensors.map((sensor) =>
      el("th", { scope: "col", class: "number" }, sensor.units ? `${sensor.name} [${sensor.units}]` : sensor.name),
    );
    $("plot-table").replaceChildren(
      el(
        "table",
        {},
        el("caption", {}, "The newest first; an empty cell: no reading at that time"),
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Time (UTC)"), ...head)),
        el("tbody", {}, ...rows),
      ),
    );
  }
}

function scaleOf(sensor) {
  if (sensor.type === "boolean") return "boolean";
  if (sensor.type === "discrete") return `discrete ${sensor.params.join(" ")}`;
  return `number ${sensor.units}`;
}

function scaleFor(sensor) {
  if (sensor.type === "boolean") return { range: [-0.1, 1.1] };
  if (sensor.type === "discrete") return { range: [-0.3, sensor.params.length - 0.7] };
  return {
    // A flat line is drawn in the middle, and not as if it were noise.
    range: (chart, low, high) => {
      if (low === null || high === null) return [0, 1];
      if (low === high) return [low - Math.max(1e-9, Math.abs(low) * 0.05), high + Math.max(1e-9, Math.abs(high) * 0.05)];
      const room = (high - low) * 0.08;
      return [low - room, high + room];
    },
  };
}

function axisFor(sensor, scale, place, color) {
  const axis = {
    scale,
    side: place === 1 ? 3 : 1,
    stroke: color("--muted"),
    grid: { show: place === 1, stroke: color("--grid"), width: 1 },
    ticks: { stroke: color("--grid"), width: 1 },
    size: (chart, values) => {
      const longest = Math.max(3, ...(values ?? []).map((text) => String(text ?? "").length));
      return Math.min(140, 18 + 7 * longest);
    },
  };
  if (isStepped(sensor)) {
    const words = sensor.type === "boolean" ? ["false", "true"] : sensor.params;
    if (sensor.type === "discrete") Object.assign(axis, { label: sensor.label, labelSize: 18, labelGap: 0 });
    axis.splits = () => words.map((word, index) => index);
    axis.values = (chart, splits) => splits.map((index) => words[index] ?? "");
  } else if (sensor.units) {
    Object.assign(axis, { label: sensor.units, labelSize: 18, labelGap: 0 });
  }
  return axis;
}

function worded(sensor, at) {
  if (sensor.type === "boolean") return at ? "true" : "false";
  if (sensor.type === "discrete") return sensor.params[at] ?? "";
  if (sensor.type === "timestamp") return instant(at);
  return String(Number(at.toPrecision(8)));
}

// The first index whose item is not below `wanted`.
function lowerBound(items, wanted) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Least and greatest of each stretch, so that no peak is lost.
function thinned(x, y, most) {
  if (x.length <= most) return [x, y];
  const step = Math.ceil((2 * x.length) / most);
  const xs = [];
  const ys = [];
  for (let start = 0; start < x.length; start += step) {
    let low = start;
    let high = start;
    for (let at = start; at < Math.min(x.length, start + step); at += 1) {
      if (y[at] === null) low = high = at;
      else if (y[low] !== null && y[at] < y[low]) low = at;
      else if (y[high] !== null && y[at] > y[high]) high = at;
    }
    for (const at of low < high ? [low, high] : low > high ? [high, low] : [low]) {
      xs.push(x[at]);
      ys.push(y[at]);
    }
  }
  return [xs, ys];
}


