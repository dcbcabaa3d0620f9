// Figures as people read them. Whatever is not known is a dash.

export const UNKNOWN = "–";

function scaled(value, units) {
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}\u00a0${units[unit]}`;
}

const known = (value) => typeof value === "number" && Number.isFinite(value);

const BITRATES = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"];
const SIZES = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Bits per second. */
export function bitrate(value) {
  return known(value) ? scaled(value, BITRATES) : UNKNOWN;
}

/** Bytes. */
export function size(value) {
  return known(value) ? scaled(value, SIZES) : UNKNOWN;
}

/** How many. */
export function count(value) {
  return known(value) ? value.toLocaleString("en").replaceAll(",", "\u202f") : UNKNOWN;
}

/** Seconds, where parts of one matter. */
export function seconds(value) {
  if (!known(value)) return UNKNOWN;
  if (value > 0 && value < 0.0005) return "<\u00a01\u00a0ms";
  if (Math.abs(value) < 0.9995) return `${Math.round(value * 1000)}\u00a0ms`;
  return `${value.toFixed(1)}\u00a0s`;
}

/** Seconds, where it may be days. */
export function duration(value) {
  if (!known(value)) return UNKNOWN;
  const whole = Math.max(0, Math.floor(value));
  const days = Math.floor(whole / 86400);
  const hours = Math.floor(whole / 3600) % 24;
  const minutes = Math.floor(whole / 60) % 60;
  if (days) return `${days}\u00a0d ${hours}\u00a0h`;
  if (hours) return `${hours}\u00a0h ${minutes}\u00a0min`;
  if (minutes) return `${minutes}\u00a0min ${whole % 60}\u00a0s`;
  return `${whole}\u00a0s`;
}

/** Since when, as how long ago; `now` is the server's. */
export function since(text, now) {
  return duration((now - Date.parse(text)) / 1000);
}

/** A moment, as a clock on the wall here has it. */
export function clock(date) {
  const two = "2-digit";
  return date.toLocaleTimeString([], { hour: two, minute: two, second: two, hourCycle: "h23" });
}

/** The picture of a stream. */
export function video({ video, width, height, frame_rate: rate }) {
  if (video === null) return UNKNOWN;
  const pictures = rate ? `${rate.toFixed(rate < 10 ? 1 : 0)}\u00a0fps` : null;
  const size = width && height ? `${width}×${height}` : null;
  return [video, size, pictures].filter(Boolean).join(" · ");
}

/** Application and stream, as the log calls them. */
export function path(stream) {
  return `${stream.vhost ? `//${stream.vhost}/` : ""}${stream.application}/${stream.name}`;
}
