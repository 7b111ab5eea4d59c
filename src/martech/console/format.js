// Numbers, money, times and shares as people read them.
const EN = "en-US";
const whole = new Intl.NumberFormat(EN, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(EN, { notation: "compact", maximumFractionDigits: 1 });
const signed = new Intl.NumberFormat(EN, { signDisplay: "exceptZero", maximumFractionDigits: 0 });
const MINUS = /-/g;

export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

export const number = (value) => whole.format(value ?? 0);
export const compact = (value) => short.format(value ?? 0);
export const change = (value) => signed.format(value).replace(MINUS, "−");
export const many = (count, one, more = `${one}s`) => `${number(count)} ${count === 1 ? one : more}`;

// Without a currency, or with one that nobody knows, the amount stands alone.
export function money(value, currency, brief = false) {
  const amount = value ?? 0;
  const digits = brief || Math.abs(amount) >= 1000 || Number.isInteger(amount) ? 0 : 2;
  const options = brief
    ? { notation: "compact", maximumFractionDigits: 1 }
    : { minimumFractionDigits: digits, maximumFractionDigits: digits };
  try {
    return new Intl.NumberFormat(EN, currency ? { style: "currency", currency, ...options } : options).format(amount);
  } catch {
    return new Intl.NumberFormat(EN, options).format(amount);
  }
}

export function percent(part, all) {
  if (!all) return "–";
  const share = (100 * part) / all;
  if (share > 0 && share < 0.1) return "<0.1%";
  return `${share < 10 && !Number.isInteger(share) ? share.toFixed(1) : Math.round(share)}%`;
}

// A share as one says it.
export function share(part, all) {
  if (!all) return "";
  const portion = part / all;
  if (part === 0) return "none";
  if (part >= all) return "all";
  const near = [
    [0.97, "nearly all"], [0.7, "about three in four"], [0.63, "about two in three"], [0.55, "more than half"],
    [0.45, "about half"], [0.37, "about two in five"], [0.29, "about one in three"], [0.225, "about one in four"],
    [0.175, "about one in five"], [0.08, "about one in ten"],
  ];
  if (portion > 0.8 && portion < 0.97) return "most";
  return near.find(([from]) => portion >= from)?.[1] ?? "a few";
}

const dates = {
  day: new Intl.DateTimeFormat(EN, { day: "numeric", month: "short", timeZone: "UTC" }),
  month: new Intl.DateTimeFormat(EN, { month: "short", timeZone: "UTC" }),
  year: new Intl.DateTimeFormat(EN, { month: "short", year: "numeric", timeZone: "UTC" }),
  long: new Intl.DateTimeFormat(EN, { weekday: "short", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" }),
};
const clock = new Intl.DateTimeFormat(EN, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const moment = new Intl.DateTimeFormat(EN, {
  weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});

export const time = (date) => clock.format(date);
export const when = (text) => moment.format(new Date(text));

// `start` carries its zone's offset, and it is that zone's calendar which counts.
export const calendar = (start) => new Date(`${start.slice(0, 10)}T00:00:00Z`);
export const hour = (start) => start.slice(11, 16);

export function axis(start, interval) {
  const day = calendar(start);
  if (interval === "hour") return hour(start);
  if (interval === "month") return day.getUTCMonth() === 0 ? String(day.getUTCFullYear()) : dates.month.format(day);
  return dates.day.format(day);
}

export function period(start, interval) {
  const day = calendar(start);
  if (interval === "hour") return `${dates.day.format(day)}, ${hour(start)}`;
  if (interval === "month") return dates.year.format(day);
  if (interval === "week") return `week of ${dates.long.format(day)}`;
  return dates.long.format(day);
}

// Today's date where the reader is, as `start` is written.
export function today() {
  const parts = new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit", timeZone: ZONE });
  return parts.format(new Date());
}

export function daysAgo(days) {
  const day = calendar(today());
  day.setUTCDate(day.getUTCDate() - days);
  return day.toISOString().slice(0, 10);
}

// The Monday of a day.
export function monday(start) {
  const day = calendar(start);
  day.setUTCDate(day.getUTCDate() - ((day.getUTCDay() + 6) % 7));
  return day.toISOString().slice(0, 10);
}

// department names shout in the data
export const label = (text) => (text === text.toUpperCase() ? text.charAt(0) + text.slice(1).toLowerCase() : text);
