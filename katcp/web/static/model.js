// What is known of the device: sensors and their readings, and what they were.

import { isValid, number } from "./format.js";

// So many points are kept of a sensor that is plotted, and of any other, as long as there are not
// too many sensors.
const PLOTTED_POINTS = 20000;
const OTHER_POINTS = 1500;
const MOST_WITH_HISTORY = 500;

export class Model {
  constructor() {
    this.sensors = new Map();
    this.plotted = []; // names, in the order they were chosen
    this.live = false;
    this.session = 0;
    this.clockOffset = 0; // server's clock minus ours [s]
    this.structure = 0; // changes when sensors come or go
    this.onStatus = () => {}; // (sensor, before)
    this.onSensor = () => {}; // (sensor) new or changed
    this.onGone = () => {}; // (sensor)
    this.onChange = () => {};
  }

  now() {
    return Date.now() / 1000 + this.clockOffset;
  }

  setClock(serverTime) {
    this.clockOffset = serverTime - Date.now() / 1000;
  }

  take(message) {
    switch (message.type) {
      case "hello":
        this.session += 1;
        this.live = true;
        break;
      case "sensors":
        message.sensors.forEach((info) => this.addSensor(info));
        break;
      case "removed":
        message.names.forEach((name) => this.removeSensor(name));
        break;
      case "listed": // all there are; what was there before the link was lost and is not now, goes
        for (const sensor of [...this.sensors.values()]) {
          if (sensor.session !== this.session) this.removeSensor(sensor.name);
        }
        break;
      case "readings":
        this.setClock(message.time);
        for (const [name, time, status, value] of message.readings) {
          const sensor = this.sensors.get(name);
          if (sensor) this.setReading(sensor, time, status, value);
        }
        break;
      case "tick":
        this.setClock(message.time);
        break;
      default:
        return;
    }
    this.onChange();
  }

  addSensor(info) {
    const old = this.sensors.get(info.name);
    const sensor = old ?? { status: "", value: "", time: NaN, times: [], numbers: [], fresh: false };
    const isNew = !old || old.type !== info.type;
    Object.assign(sensor, info, { session: this.session });
    if (isNew) Object.assign(sensor, { times: [], numbers: [] });
    this.sensors.set(info.name, sensor);
    if (!old) this.structure += 1;
    this.onSensor(sensor);
  }

  removeSensor(name) {
    const sensor = this.sensors.get(name);
    if (!sensor) return;
    this.sensors.delete(name);
    this.structure += 1;
    this.onGone(sensor);
  }

  setReading(sensor, time, status, value) {
    const before = sensor.status;
    Object.assign(sensor, { time, status, value, fresh: true });
    if (before !== status) this.onStatus(sensor, before);
    this.remember(sensor, isValid(status) ? number(sensor, value) : null);
  }

  remember(sensor, point) {
    const plotted = this.plotted.includes(sensor.name);
    if (!plotted && this.sensors.size > MOST_WITH_HISTORY) return;
    const now = this.now();
    // A sensor may have a clock of its own; what is far from now is drawn where it came.
    let time = Math.abs(sensor.time - now) < 3600 ? sensor.time : now;
    const last = sensor.times.at(-1);
    if (last !== undefined && time <= last) {
      if (time < last - 1) time = last + 1e-3;
      else return void (sensor.numbers[sensor.numbers.length - 1] = point);
    }
    sensor.times.push(time);
    sensor.numbers.push(point);
    const most = plotted ? PLOTTED_POINTS : OTHER_POINTS;
    if (sensor.times.length > 1.2 * most) {
      sensor.times.splice(0, sensor.times.length - most);
      sensor.numbers.splice(0, sensor.numbers.length - most);
    }
  }

  // Nothing is known any more: what was read stays as what was.
  lose() {
    if (!this.live) return;
    this.live = false;
    for (const sensor of this.sensors.values()) {
      sensor.fresh = false;
      if (sensor.times.length) this.breakLine(sensor);
    }
    this.onChange();
  }

  // What is plotted ends here, until there is something new.
  breakLine(sensor) {
    sensor.times.push(Math.max(this.now(), sensor.times.at(-1) + 1e-3));
    sensor.numbers.push(null);
  }

  plot(name, wanted) {
    const is = this.plotted.includes(name);
    if (wanted === is) return;
    const sensor = this.sensors.get(name);
    if (is) this.plotted = this.plotted.filter((other) => other !== name);
    else this.plotted = [...this.plotted, name];
    if (!is && sensor && !sensor.times.length && sensor.fresh) {
      this.remember(sensor, isValid(sensor.status) ? number(sensor, sensor.value) : null);
    }
    this.onChange();
  }
}
