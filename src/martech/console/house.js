// What is running: each module, how much it has published, and how much it has still to process.
import { h, keep, say, set } from "./dom.js";
import { many, number } from "./format.js";

export class House {
  constructor(body) {
    this.list = h("ul", { class: "modules" });
    body.append(this.list);
  }

  update({ modules }) {
    keep(this.list, modules ?? [], (one) => one.name, make, (node, one) => {
      say(node.name, one.name);
      const { words, state } = standing(one);
      say(node.words, words);
      set(node, "data-state", state);
      const from = [...new Set((one.subscriptions ?? []).map((each) => each.source))];
      say(node.hears, `receives from ${from.length ? from.join(", ") : "no other module"}`);
      say(node.told, `${many(one.told ?? 0, "message")} published`);
    });
  }
}

const subscriptions = (modules) => (modules ?? []).flatMap((one) => one.subscriptions ?? []);
const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);

// Of a source that does not answer nobody knows how much is still to hear: `behind` is null then.
export const behind = (modules) => sum(subscriptions(modules).map((each) => (each.behind ?? 0) + each.waiting));
export const silent = (modules) =>
  [...new Set(subscriptions(modules).filter((each) => each.behind === null).map((each) => each.source))].sort();
export const parked = (modules) => sum([...(modules ?? []), ...subscriptions(modules)].map((each) => each.parked ?? 0));

function standing(module) {
  if (module.available === false) return { words: "its database does not answer", state: "bad" };
  const aside = parked([module]);
  if (aside) return { words: `${number(aside)} parked: martech parked list`, state: "bad" };
  const away = silent([module]);
  if (away.length) return { words: `cannot hear ${away.join(", ")}`, state: "bad" };
  const late = behind([module]);
  if (late) return { words: `${many(late, "event")} to process`, state: "busy" };
  if (module.due) return { words: `${many(module.due, "task")} to do`, state: "busy" };
  return { words: subscriptions([module]).length ? "up to date" : "ready", state: "good" };
}

function make() {
  const node = h("li");
  node.name = h("b");
  node.words = h("span", { class: "words" });
  node.hears = h("span", { class: "quiet" });
  node.told = h("span", { class: "quiet" });
  node.append(h("span", { class: "lamp", "aria-hidden": "true" }), node.name, node.words, node.hears, node.told);
  return node;
}
