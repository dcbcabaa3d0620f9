// Figures as people read them. Whatever is not known is a dash.

export const UNKNOWN = "–";

function scaled(value, base, units) {
  let unit = 0;
  while (value >= base * 0.9995 && unit < units.length - 1) {
    value /= base;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}\u00a0${units[unit]}`;
}

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** Bits per second. */
export function bitrate(value) {
  return known(value) ? scaled(value, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"]) : UNKNOWN;
}

/** Bytes. */
export function size(value) {
  return known(value) ? scaled(value, 1000, ["B", "kB", "MB", "GB", "TB", "PB"]) : UNKNOWN;
}

/** How many. */
export function count(value) {
  return known(value) ? value.toLocaleString("en").replaceAll(",", "\u202f") : UNKNOWN;
}

/** Seconds, where parts of one matter. */
export function seconds(value) {
  if (!known(value)) return UNKNOWN;
  if (value > 0 && value < 0.0005) return "<\u00a01\u00a0ms";
  return Math.abs(value) < 0.9995 ? `${Math.round(value * 1000)}\u00a0ms` : `${value.toFixed(1)}\u00a0s`;
}

/** Seconds, where it may be days. */
export function duration(value) {
  if (!known(value)) return UNKNOWN;
  const whole = Math.max(0, Math.floor(value));
  const [days, hours, minutes] = [whole / 86400, (whole / 3600) % 24, (whole / 60) % 60].map(Math.floor);
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
  return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

/** The picture of a stream. */
export function video({ video, width, height, frame_rate: rate }) {
  if (video === null) return UNKNOWN;
  const pictures = rate ? `${rate.toFixed(rate < 10 ? 1 : 0)}\u00a0fps` : null;
  return [video, width && height ? `${width}×${height}` : null, pictures].filter(Boolean).join(" · ");
}

/** Application and stream, as the log calls them. */
export function path(stream) {
  return `${stream.vhost ? `//${stream.vhost}/` : ""}${stream.application}/${stream.name}`;
}
