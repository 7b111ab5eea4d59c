// Small charts of our own. Each draws into a host element and again whenever that becomes wider;
// what they show is told to a screen reader in one sentence, and stands in a table beside it.
import { h, s, say, set } from "./dom.js";

// Rounds up to 1, 2, 2.5 or 5 times a power of ten.
function step(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].find((factor) => factor * power >= value * 0.999) * power;
}

function ticks(most, wanted = 4, wholes = false) {
  if (most <= 0) return [0, 1];
  const each = wholes ? Math.max(1, step(most / wanted)) : step(most / wanted);
  const found = [];
  for (let value = 0; value < most + each * 0.999; value += each) found.push(value);
  return found;
}

// Calls `draw(width)` now, later when the data changed, and when the host has another width.
class Chart {
  constructor(host) {
    this.host = host;
    this.width = 0;
    new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width);
      if (width === this.width || width < 40) return;
      this.width = width;
      if (this.shown) this.draw(this.shown);
    }).observe(host);
  }

  update(shown) {
    const told = JSON.stringify([shown.data, shown.value?.(1)]); // how it is written counts, too
    if (told === this.told && this.shown?.name === shown.name) return;
    this.told = told;
    this.shown = shown;
    if (this.width) this.draw(shown);
  }
}

const MARGIN = { top: 10, bottom: 22 };
const SHORTEST_MS = 30_000;

// The lines behind, and where things are: `y` of a value, `left` where the room begins.
function drawGrid({ svg, grid, width, height }, most, tick, wholes) {
  const lines = ticks(most, 3, wholes);
  const top = lines.at(-1);
  const left = 8 + 7 * Math.max(...lines.map((line) => tick(line).length));
  const room = { x: width - left, y: height - MARGIN.top - MARGIN.bottom };
  const y = (v) => MARGIN.top + room.y * (1 - v / top);
  set(svg, "viewBox", `0 0 ${width} ${height}`);
  set(svg, "width", width);
  grid.replaceChildren(
    ...lines.flatMap((line) => [
      s("line", { x1: left, x2: width, y1: y(line), y2: y(line), class: line ? "" : "zero" }),
      s("text", { x: left - 8, y: y(line) + 4, "text-anchor": "end" }, tick(line)),
    ]),
  );
  return { lines, left, top, room, y };
}

// shown: {name, data: [{start, value}], axis(start), period(start), value(v), tick(v), wholes, last}
export class Columns extends Chart {
  constructor(host, height = 200) {
    super(host);
    this.height = height;
    this.svg = s("svg", { role: "img", height, class: "columns" });
    this.grid = s("g", { class: "grid" });
    this.bars = s("g", { class: "bars" });
    this.names = s("g", { class: "names" });
    this.svg.append(this.grid, this.bars, this.names);
    this.tip = h("div", { class: "tip", hidden: true });
    host.classList.add("chart");
    host.append(this.svg, this.tip);
    host.addEventListener("pointermove", (event) => this.point(event));
    host.addEventListener("pointerleave", () => this.point(null));
  }

  draw({ name, data, axis, value, tick, wholes }) {
    const { width, height } = this;
    const most = Math.max(0, ...data.map((one) => one.value));
    const { left, top, room } = drawGrid(this, most, tick, wholes);
    const each = room.x / Math.max(data.length, 1);
    const thick = Math.max(1, Math.min(each - Math.min(3, each * 0.25), 46));
    this.place = { left, each };
    while (this.bars.children.length > data.length) this.bars.lastChild.remove();
    while (this.bars.children.length < data.length) this.bars.append(s("rect", { rx: 0 }));
    data.forEach((one, index) => {
      const bar = this.bars.children[index];
      const tall = one.value > 0 ? Math.max(1.5, room.y * (one.value / top)) : 0;
      set(bar, "x", (left + each * index + (each - thick) / 2).toFixed(2));
      set(bar, "width", thick.toFixed(2));
      set(bar, "rx", Math.min(3, thick / 4).toFixed(2));
      set(bar, "y", (MARGIN.top + room.y - tall).toFixed(2));
      set(bar, "height", tall.toFixed(2));
      set(bar, "class", one.open ? "open" : "");
    });
    this.names.replaceChildren(...this.labels(data, axis, left, each, width));
    const best = data.reduce((a, b) => (b.value > (a?.value ?? -1) ? b : a), null);
    const peak = best && best.value > 0 ? `; the highest is ${value(best.value)}` : "";
    set(this.svg, "aria-label", `${name}: ${data.length} columns${peak}.`);
  }

  labels(data, axis, left, each, width) {
    const widest = 6.5 * Math.max(4, ...data.map((one) => axis(one.start).length)) + 10;
    const skip = Math.max(1, Math.ceil(widest / each));
    const shown = data.map((one, index) => ({ one, index })).filter(({ index }) => (data.length - 1 - index) % skip === 0);
    return shown.map(({ one, index }) => {
      const middle = Math.min(left + each * (index + 0.5), width - axis(one.start).length * 3.4);
      return s("text", { x: middle, y: this.height - 5, "text-anchor": "middle" }, axis(one.start));
    });
  }

  point(event) {
    const data = this.shown?.data ?? [];
    const x = event && this.place ? event.clientX - this.svg.getBoundingClientRect().left - this.place.left : -1;
    const index = x < 0 ? -1 : Math.floor(x / this.place.each);
    const one = data[index];
    [...this.bars.children].forEach((bar, which) => bar.toggleAttribute("data-on", which === index && !!one));
    this.tip.hidden = !one;
    if (!one) return;
    const more = this.shown.more?.(one);
    this.tip.replaceChildren(
      h("b", {}, this.shown.value(one.value)),
      h("span", {}, this.shown.period(one.start)),
      ...(more ? [h("span", {}, more)] : []),
    );
    const middle = this.place.left + this.place.each * (index + 0.5);
    const half = this.tip.offsetWidth / 2;
    this.tip.style.left = `${Math.max(half, Math.min(this.width - half, middle))}px`;
  }
}

// shown: {name, data: [numbers, the newest last], low: what lies at the bottom, 0 if left out}
export class Line extends Chart {
  // *stretched*, it is as wide as the host however few points there are
  constructor(host, height = 64, places = 60, stretched = false) {
    super(host);
    this.stretched = stretched;
    this.height = height;
    this.places = places;
    this.floor = s("line", { class: "floor", x1: 0, y1: height - 1, y2: height - 1 });
    this.area = s("path", { class: "area" });
    this.path = s("path", { class: "stroke" });
    this.dot = s("circle", { r: 3.5, class: "dot" });
    this.svg = s("svg", { height, class: "line", "aria-hidden": "true" }, this.floor, this.area, this.path, this.dot);
    host.classList.add("chart");
    host.append(this.svg);
  }

  draw({ data, low = 0 }) {
    const { width, height } = this;
    set(this.svg, "viewBox", `0 0 ${width} ${height}`);
    set(this.svg, "width", width);
    set(this.floor, "x2", width);
    const values = data.slice(-this.places);
    const most = Math.max(low + 1, ...values);
    const span = (most - low) * 1.1;
    const places = this.stretched ? Math.max(2, values.length) : this.places;
    const each = (width - 6) / (places - 1);
    const first = places - values.length;
    const points = values.map((value, index) => [
      ((first + index) * each).toFixed(1),
      (height - 4 - (height - 10) * ((value - low) / span)).toFixed(1),
    ]);
    if (!points.length) points.push([width - 6, height - 4]);
    const path = points.map(([x, y]) => `${x} ${y}`).join(" L ");
    set(this.path, "d", `M ${path}`);
    set(this.area, "d", `M ${points[0][0]} ${height - 1} L ${path} L ${points.at(-1)[0]} ${height - 1} Z`);
    set(this.dot, "cx", points.at(-1)[0]);
    set(this.dot, "cy", points.at(-1)[1]);
  }
}

// Adds up to here: {name, data: [{at, value}] with the time in ms, value(v), tick(v), time(ms), wholes}
export class Curve extends Chart {
  constructor(host, height = 200) {
    super(host);
    this.height = height;
    this.grid = s("g", { class: "grid" });
    this.area = s("path", { class: "area" });
    this.path = s("path", { class: "stroke" });
    this.dot = s("circle", { r: 4, class: "dot" });
    this.names = s("g", { class: "names" });
    this.svg = s("svg", { role: "img", height, class: "curve" }, this.grid, this.area, this.path, this.dot, this.names);
    host.classList.add("chart");
    host.append(this.svg);
  }

  draw({ name, data, value, tick, time, wholes }) {
    const { width, height } = this;
    const most = Math.max(0, ...data.map((one) => one.value));
    const { left, y } = drawGrid(this, most, tick, wholes);
    const [first, last] = [data[0].at, data.at(-1).at];
    const span = Math.max(last - first, SHORTEST_MS);
    const x = (at) => left + 6 + (width - left - 12) * ((at - first) / span);
    // what was so stays so until it changes: a step, not a slope
    const step = (one, index) => {
      const along = x(one.at).toFixed(1);
      return `${index ? `H ${along} V` : `M ${along}`} ${y(one.value).toFixed(1)}`;
    };
    const steps = data.map(step).join(" ");
    set(this.path, "d", steps);
    set(this.area, "d", `${steps} V ${y(0)} H ${x(first).toFixed(1)} Z`);
    set(this.dot, "cx", x(last).toFixed(1));
    set(this.dot, "cy", y(data.at(-1).value).toFixed(1));
    this.names.replaceChildren(
      s("text", { x: left, y: height - 5 }, time(first)),
      s("text", { x: Math.max(left + 120, Math.min(width, x(last) + 6)), y: height - 5, "text-anchor": "end" }, time(last)),
    );
    set(this.svg, "aria-label", `${name}: from ${value(data[0].value)} to ${value(data.at(-1).value)}.`);
  }
}

// The same as a table, folded away until somebody wants it.
export class Table {
  constructor(host, caption) {
    this.caption = h("caption");
    this.head = h("thead");
    this.body = h("tbody");
    this.table = h("table", {}, this.caption, this.head, this.body);
    this.details = h("details", { class: "table" }, h("summary", {}, "As a table"), h("div", { class: "scroll" }, this.table));
    say(this.caption, caption);
    host.append(this.details);
    this.details.addEventListener("toggle", () => this.shown && this.update(...this.shown));
  }

  // `columns` are names, `rows` lists of texts; nothing is made while it is folded.
  update(columns, rows, caption) {
    this.shown = [columns, rows, caption];
    if (!this.details.open) return;
    if (caption) say(this.caption, caption);
    this.head.replaceChildren(h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name))));
    this.body.replaceChildren(
      ...rows.map(([name, ...cells]) =>
        h("tr", {}, h("th", { scope: "row" }, name), cells.map((cell) => h("td", {}, cell))),
      ),
    );
  }
}
