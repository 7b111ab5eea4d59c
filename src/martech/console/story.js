// What is happening, in words: the same figures as below, told as one would tell a visitor.
import { at, h } from "./dom.js";
import { behind, parked, silent } from "./house.js";
import { many, money, number, when } from "./format.js";

export const PURPOSE = [at("purpose").textContent]; // it stands in index.html, at the top of the page

const b = (text) => h("b", {}, text);
const name = (text) => h("em", {}, text);

// The sentences, each a list of texts and elements.
export function story(state) {
  return [...people(state), ...segment(state), ...campaign(state)];
}

export function closed({ modules }) {
  if (!modules) return [PURPOSE];
  const away = modules.filter((one) => one.available === false).map((one) => one.name);
  if (away.length) return [["martech is running, but the database of ", b(away.join(" and ")), " does not answer."]];
  return [PURPOSE, ["martech is running: ", b(many(modules.length, "module")), ", ", ...standing(modules)]];
}

// As the server says it to whoever has no script.
function standing(modules) {
  const aside = parked(modules);
  if (aside) return [`${number(aside)} parked: see martech parked list.`];
  const away = silent(modules);
  if (away.length) return ["but what ", b(away.join(" and ")), " told cannot be heard: its host does not answer."];
  const late = behind(modules);
  return [late ? `${many(late, "event")} still to process.` : "everything told has been heard."];
}

// What is to be said of every mail: a server that takes them, and still a problem.
export const printed = (server) => (server && server.reachable !== false && server.problem) || null;

function people({ people, series, currency, errors }) {
  if (!people) return errors.people ? [["The people here are not this key’s to see."]] : [];
  if (people.people === 0) return [PURPOSE, ["Nobody is known yet: send the first event, and this page begins to move."]];
  const known = [b(number(people.people)), people.people === 1 ? " person is known" : " people are known"];
  const orders = series?.month.orders.total;
  if (!orders) return [[...known, "."]];
  return [[...known, "; they bought for ", b(money(series.month.revenue.total, currency)), " in ", b(many(orders, "order")), "."]];
}

// The campaign's, and else the first one that has anybody in it.
function segment({ segments, campaign }) {
  const all = segments?.data ?? [];
  const one = all.find((each) => each.id === campaign?.segment_id) ?? all.find((each) => each.size > 0);
  if (!one) return [];
  if (!one.ready) return [[name(one.name), " are being counted."]];
  return [[b(number(one.size)), one.size === 1 ? " of them is in " : " of them are in ", name(one.name), "."]];
}

function campaign(state) {
  const { campaign, status, conversions, currency } = state;
  if (!campaign) return [];
  const mail = ["The mail ", name(campaign.name)];
  const shown = status ?? campaign;
  const counts = status?.counts ?? {};
  const left = number(counts.delivered);
  const whole = number(Math.max(counts.audience ?? 0, status?.expected ?? 0));
  const nowhere = state.server?.server === "console:";
  const waits = state.server?.reachable === false || (status?.problem && !printed(state.server));
  switch (shown.status) {
    case "draft":
      return [[...mail, " is a draft."]];
    case "scheduled":
      return [[...mail, ` leaves ${when(shown.scheduled_at)}.`]];
    case "failed":
      return [[...mail, " could not be sent."]];
    case "launching":
      return [[...mail, " is being made ready."]];
    case "sending":
      if (waits) return [[...mail, " waits for the mail server, ", b(left), ` of ${whole} delivered.`]];
      return [
        [...mail, " is on its way: ", b(left), ` of ${whole} delivered`, ...heard(counts), "."],
        ...bought(conversions, currency),
      ];
    case "paused":
      return [[...mail, " is paused after ", b(left), ` of ${whole}`, ...heard(counts), "."], ...bought(conversions, currency)];
    default: {
      const end = shown.status === "cancelled" ? " was stopped after " : nowhere ? " was printed for " : " went to ";
      return [[...mail, end, b(left), ...heard(counts), "."], ...bought(conversions, currency)];
    }
  }
}

const heard = (counts) => (counts.opened ? [", ", b(number(counts.opened)), " opened it"] : []);

function bought(conversions, currency) {
  if (!conversions?.converted) return [];
  return [[b(number(conversions.converted)), " of those who got it bought afterwards, for ", b(money(conversions.total, currency)), "."]];
}

export function tell(host, sentences) {
  const key = JSON.stringify(sentences.map((one) => one.map((part) => part.textContent ?? part)));
  if (host.dataset.told === key) return;
  host.dataset.told = key;
  host.replaceChildren(...sentences.flatMap((sentence) => [h("span", {}, sentence), " "]));
}
