// A segment's condition in words. What is said in a way that is unknown here is left unsaid.
import { many, money, number } from "./format.js";

const TESTS = {
  equals: "is", not_equals: "is not", one_of: "is one of", contains: "contains", at_least: "is at least",
  more_than: "is more than", at_most: "is at most", less_than: "is less than", exists: "is known", missing: "is not known",
};
const BOUNDS = { at_least: "at least", more_than: "more than", at_most: "at most", less_than: "less than" };
const TIMES = { ...BOUNDS, less_than: "fewer than" };
const UNITS = { W: "week", D: "day", H: "hour", M: "minute", S: "second" };
const MONEY = ["revenue", "total", "price", "value"];

export function told(condition, currency) {
  try {
    const words = part(condition, currency, true);
    return words.charAt(0).toUpperCase() + words.slice(1);
  } catch {
    return "";
  }
}

function part(given, currency, outermost = false) {
  if (given.all) return joined(given.all, " and ", currency, outermost);
  if (given.any) return joined(given.any, " or ", currency, outermost);
  if (given.not) return `not (${part(given.not, currency, true)})`;
  if (given.trait) return asked(given.trait, given);
  if (given.event) return behaviour(given, currency);
  throw new TypeError("unknown");
}

function joined(parts, word, currency, outermost) {
  const words = parts.map((one) => part(one, currency)).join(word);
  return outermost || parts.length === 1 ? words : `(${words})`;
}

const asked = (name, { is, value }) => [name, known(TESTS[is]), plain(value)].filter(Boolean).join(" ");

// “did “Order Completed” at least 3 times within 30 days”, and “total revenue of “Order Completed” is at least $99”.
function behaviour(given, currency) {
  const { event, sum, within, where } = given;
  const only = (where ?? []).map((one) => asked(one.property, one)).join(" and ");
  const named = only ? `“${event}” (where ${only})` : `“${event}”`;
  const time = within ? ` within ${duration(within)}` : "";
  const bounds = Object.keys(BOUNDS).filter((name) => given[name] !== undefined).map((name) => [name, given[name]]);
  if (!sum && (given.at_most === 0 || given.less_than === 1)) return `never did ${named}${time}`;
  if (!sum) return `did ${named} ${bounds.map(([name, value]) => `${TIMES[name]} ${times(value)}`).join(" and ")}${time}`;
  const amount = (value) => (MONEY.includes(sum.split(".").at(-1)) ? money(value, currency) : number(value));
  const total = sum.split(".").at(-1) === "total" ? sum : `total ${sum}`;
  return `${total} of ${named}${time} is ${bounds.map(([name, value]) => `${BOUNDS[name]} ${amount(value)}`).join(" and ")}`;
}

const times = (count) => (count === 1 ? "once" : many(count, "time"));

function duration(text) {
  const parts = [...text.matchAll(/(\d+)([WDHMS])/g)].map(([, count, unit]) => many(Number(count), UNITS[unit]));
  return parts.join(" ") || known(undefined);
}

function plain(value) {
  if (value === undefined) return "";
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "number" ? number(value) : String(value);
}

function known(words) {
  if (words === undefined) throw new TypeError("unknown");
  return words;
}
