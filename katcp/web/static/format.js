// Values, ages and statuses for people.

// In the order of how much they ask for attention; the symbols differ in form, not in colour only.
export const STATUSES = {
  error: { symbol: "✕", rank: 6 },
  failure: { symbol: "‼", rank: 5 },
  unreachable: { symbol: "⊘", rank: 4 },
  warn: { symbol: "▲", rank: 3 },
  unknown: { symbol: "?", rank: 2 },
  inactive: { symbol: "○", rank: 1 },
  nominal: { symbol: "✓", rank: 0 },
};

// With these the value tells nothing of the present.
const INVALID = new Set(["unknown", "failure", "unreachable", "inactive"]);

export function statusOf(name) {
  return Object.hasOwn(STATUSES, name) ? STATUSES[name] : { symbol: "?", rank: 2 };
}

export function isValid(status) {
  return !INVALID.has(status);
}

export function age(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 0) return seconds < -2 ? "in future" : "now";
  if (seconds < 1.5) return "now";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

export function ago(seconds) {
  const text = age(seconds);
  return /\d/.test(text) ? `${text} ago` : text;
}

export function instant(seconds, withMilliseconds = false) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return "";
  const text = date.toISOString().replace("T", " ");
  return withMilliseconds ? text : `${text.slice(0, 19)}Z`;
}

// Returns a value as one reads it; its text on the wire is shown with the details.
export function value(sensor) {
  const text = sensor.value;
  switch (sensor.type) {
    case "boolean":
      return text === "1" ? "true" : text === "0" ? "false" : text;
    case "timestamp": {
      const seconds = Number(text);
      return text && Number.isFinite(seconds) && seconds > 1e6 ? instant(seconds) || text : text;
    }
    case "float": {
      const number = Number(text);
      if (text.length <= 9 || !Number.isFinite(number)) return text;
      return String(Number(number.toPrecision(6)));
    }
    default:
      return text;
  }
}

// Returns the number to plot for a value, or null where there is none.
export function number(sensor, text) {
  if (sensor.type === "discrete") {
    const index = sensor.params.indexOf(text);
    return index < 0 ? null : index;
  }
  if (!isPlottable(sensor) || text.trim() === "") return null;
  const result = Number(text);
  return Number.isFinite(result) ? result : null;
}

export function isPlottable(sensor) {
  return ["integer", "float", "boolean", "discrete", "timestamp"].includes(sensor.type);
}

export function isStepped(sensor) {
  return sensor.type === "boolean" || sensor.type === "discrete";
}
