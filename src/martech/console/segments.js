// Who belongs together: each segment by its name, how many are in it, and how that changes.
import { Line } from "./charts.js";
import { h, keep, say, set, show, size } from "./dom.js";
import { change, number, percent } from "./format.js";
import { told } from "./condition.js";

const SECOND = 1000;
const PLACES = 120; // points of a line

export class Segments {
  constructor(body) {
    this.seen = new Map(); // id and version → how many were in it, a second apart
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
      const sizes = this.sizes(one);
      const grown = one.size - (sizes[0] ?? one.size);
      const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
      show(node.growth, sizes.length > 1 && least < most);
      if (!node.growth.hidden) node.line.update({ name: one.name, data: sizes, low: least - (most - least) / 2 });
      const counted = one.progress ? `, ${percent(one.progress, 1)}` : "";
      say(node.note, one.ready ? `${percent(one.size, people?.people)} of all people` : `being counted from the past${counted}`);
      say(node.grown, grown ? `${change(grown)} while you watch` : "");
      set(node.grown, "class", grown > 0 ? "up" : "down");
      size(node.bar, one.size / (people?.people || one.size || 1));
    });
  }

  // How many were in it while this page was open: at first every second, later more seldom.
  sizes({ id, version, size: now, ready }) {
    if (!ready) return [];
    const key = `${id} ${version}`;
    const seen = this.seen.get(key) ?? { at: -Infinity, each: SECOND, sizes: [] };
    this.seen.set(key, seen);
    if (performance.now() - seen.at > seen.each * 0.8) {
      seen.at = performance.now();
      seen.sizes.push(now);
    } else seen.sizes[seen.sizes.length - 1] = now;
    if (seen.sizes.length > PLACES) {
      seen.sizes = seen.sizes.filter((_, index) => index % 2 === 0);
      seen.each *= 2;
    }
    return seen.sizes;
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
  node.growth = h("div", { class: "growth" });
  node.line = new Line(node.growth, 56, PLACES, true);
  node.append(
    h("div", { class: "title" }, node.name, node.size),
    node.condition,
    h("div", { class: "meter", "aria-hidden": "true" }, node.bar),
    h("p", { class: "quiet between" }, node.note, node.grown),
    node.growth,
  );
  return node;
}
