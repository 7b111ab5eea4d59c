// What is running: each module, how much it has told, and how far it is behind what others told.
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
      say(node.hears, from.length ? `hears ${from.join(", ")}` : "hears nobody");
      say(node.told, `${many(one.told ?? 0, "event")} told`);
    });
  }
}

export const behind = (modules) =>
  (modules ?? []).flatMap((one) => one.subscriptions ?? []).reduce((sum, each) => sum + each.behind + each.waiting, 0);

function standing(module) {
  if (module.available === false) return { words: "its database does not answer", state: "bad" };
  const subscriptions = module.subscriptions ?? [];
  const parked = module.parked + subscriptions.reduce((sum, one) => sum + one.parked, 0);
  if (parked) return { words: `${number(parked)} parked: martech parked list`, state: "bad" };
  const late = behind([module]);
  if (late) return { words: `${number(late)} behind`, state: "busy" };
  if (module.due) return { words: `${number(module.due)} to do`, state: "busy" };
  return { words: subscriptions.length ? "up to date" : "at rest", state: "good" };
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
