/** Numbers as people read them. Unknown is a dash, never 0. */

export const UNKNOWN = "–";

type Known = number | null | undefined;

export function bytes(value: Known): string {
  if (value == null) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = value;
  let unit = 0;
  while (Math.abs(size) >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size.toFixed(unit === 0 || Math.abs(size) >= 100 ? 0 : 1)} ${units[unit]}`;
}

export function count(value: Known): string {
  return value == null ? UNKNOWN : value.toLocaleString("en", { maximumFractionDigits: 0 });
}

export function rate(value: Known): string {
  if (value == null) return UNKNOWN;
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 2 : 0 });
}

export function share(value: Known): string {
  return value == null ? UNKNOWN : `${Math.round(value * 100)} %`;
}

export function seconds(value: Known): string {
  if (value == null) return UNKNOWN;
  if (value === 0) return "0 s";
  if (Math.abs(value) < 0.0005) return `${(value * 1e6).toFixed(0)} µs`;
  if (Math.abs(value) < 1) return `${(value * 1000).toFixed(Math.abs(value) < 0.01 ? 1 : 0)} ms`;
  if (value < 120) return `${value.toFixed(value < 10 ? 2 : 0)} s`;
  return span(value);
}

export function milliseconds(value: Known): string {
  return value == null ? UNKNOWN : seconds(value / 1000);
}

/** How long: the two largest units are enough. */
export function span(value: number): string {
  const whole = Math.max(0, Math.round(value));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export function clock(wall: Known): string {
  return wall == null ? UNKNOWN : new Date(wall * 1000).toLocaleTimeString("en-GB");
}

export function day(wall: number): string {
  return new Date(wall * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short" });
}

/** Of the day; the day itself where one begins. */
export function hour(wall: number): string {
  const at = new Date(wall * 1000);
  return at.getHours() === 0 ? day(wall) : at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

/** Day and time; the time alone of today. */
export function moment(wall: Known): string {
  if (wall == null) return UNKNOWN;
  const at = new Date(wall * 1000);
  if (at.toDateString() === new Date().toDateString()) return clock(wall);
  return `${at.toLocaleDateString("en-CA")} ${at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}`;
}

export function tokens(value: Known): string {
  if (value == null) return UNKNOWN;
  return value >= 1024 && value % 1024 === 0 ? `${value / 1024}k` : count(value);
}

/** A word of the wire, as a person would write it. */
export function plain(word: string): string {
  return word.replaceAll("_", " ");
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}
