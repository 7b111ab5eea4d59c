// Who belongs together: each segment by its name, how many are in it, and how that changes.
import { h, keep, say, set, show, size } from "./dom.js";
import { change, number, percent } from "./format.js";
import { told } from "./condition.js";

export class Segments {
  constructor(body) {
    this.first = new Map(); // id and version → how many were in it when it was first seen here
    this.list = h("ul", { class: "segments" });
    this.none = h("p", { class: "quiet" }, "No segment yet. One is a sentence about people, such as ",
      h("em", {}, "at least three orders in a month"), ", and it is kept up to date by every event that comes in.");
    body.append(this.list, this.none);
  }

  update({ segments, people, currency }) {
    if (!segments) return;
    show(this.none, segments.data.length === 0);
    keep(this.list, segments.data, (one) => one.id, make, (node, one) => {
      say(node.name, one.name);
      say(node.size, one.ready ? number(one.size) : "…");
      say(node.condition, told(one.condition, currency));
      const grown = this.grown(one);
      say(node.note, one.ready ? `${percent(one.size, people?.people)} of all people` : "being counted from the past");
      say(node.grown, grown ? `${change(grown)} while you watch` : "");
      set(node.grown, "class", grown > 0 ? "up" : "down");
      size(node.bar, one.size / (people?.people || one.size || 1));
    });
  }

  grown({ id, version, size: now, ready }) {
    if (!ready) return 0;
    const key = `${id} ${version}`;
    if (!this.first.has(key)) this.first.set(key, now);
    return now - this.first.get(key);
  }
}

function make() {
  const node = h("li");
  node.name = h("b");
  node.size = h("span", { class: "value" });
  node.condition = h("p", { class: "quiet condition" });
  node.bar = h("i");
  node.note = h("span");
  node.grown = h("span");
  node.append(
    h("div", { class: "title" }, node.name, node.size),
    node.condition,
    h("div", { class: "meter", "aria-hidden": "true" }, node.bar),
    h("p", { class: "quiet between" }, node.note, node.grown),
  );
  return node;
}
