// A segment's condition in words. What is said in a way that is unknown here is left unsaid.
import { many, money, number } from "./format.js";

const TESTS = {
  equals: "is", not_equals: "is not", one_of: "is one of", contains: "contains", at_least: "is at least",
  more_than: "is more than", at_most: "is at most", less_than: "is less than", exists: "is known", missing: "is not known",
};
const BOUNDS = { at_least: "at least", more_than: "more than", at_most: "at most", less_than: "less than" };
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

function behaviour(given, currency) {
  const { event, sum, within, where } = given;
  const bounds = Object.keys(BOUNDS).filter((name) => given[name] !== undefined).map((name) => [BOUNDS[name], given[name]]);
  const amount = (value) => (!sum ? times(value) : MONEY.includes(sum.split(".").at(-1)) ? money(value, currency) : number(value));
  const said = bounds.map(([word, value]) => `${word} ${amount(value)}`).join(", ");
  const only = (where ?? []).map((one) => asked(one.property, one)).join(", ");
  const what = sum ? `${sum} of “${event}” adds up to ${said}` : `“${event}” ${said}`;
  return [what, within ? `within ${duration(within)}` : "", only ? `where ${only}` : ""].filter(Boolean).join(" ");
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
