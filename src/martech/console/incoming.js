// What comes in now, who that makes known, and what they bought in the days, weeks and months before.
import { Columns, Line, Table } from "./charts.js";
import { h, say, show } from "./dom.js";
import { axis, calendar, compact, many, monday, money, number, period, today } from "./format.js";

const LONGEST = { day: 42, week: 53, month: 36 };
const FIRST = `curl -u mtw_…: -H 'content-type: application/json' ${location.origin}/v1/track \\
  -d '{"userId": "ada", "event": "Order Completed", "properties": {"revenue": 12.5, "currency": "EUR"}}'`;
const NAMES = { day: "Days", week: "Weeks", month: "Months" };

function tile(id, name) {
  const value = h("b", { class: "value" }, "–");
  const note = h("span", { class: "quiet" });
  return { node: h("div", { class: "tile", "data-tile": id }, h("span", { class: "name" }, name), value, note), value, note };
}

// A row of choices of which one holds; `chosen` hears of another.
export function choice(label, options, chosen) {
  const buttons = Object.entries(options).map(([value, name]) =>
    h("button", { type: "button", "data-value": value, click: () => chosen(value) }, name),
  );
  const node = h("div", { class: "choice", role: "group", "aria-label": label }, buttons);
  return {
    node,
    mark: (value) => buttons.forEach((one) => one.setAttribute("aria-pressed", one.dataset.value === value)),
    offer: (values) => buttons.forEach((one) => show(one, values.includes(one.dataset.value))),
  };
}

export class Incoming {
  constructor(body) {
    this.interval = "month";
    this.measure = "revenue";
    this.now = tile("now", "events a second");
    this.people = tile("people", "people known");
    this.orders = tile("orders", "orders");
    this.revenue = tile("revenue", "revenue");
    const moving = h("div", { class: "moving" });
    this.now.node.classList.add("now");
    this.now.node.append(moving);
    this.measures = choice("What to show", { revenue: "Revenue", orders: "Orders" }, (value) => this.choose({ measure: value }));
    this.intervals = choice("How long a column is", NAMES, (value) => this.choose({ interval: value }));
    this.host = h("div");
    const how = h("p", { class: "quiet" }, "Send an event with a write key, or start ", h("code", {}, "make demo"), ":");
    this.first = h("div", { class: "first", hidden: true }, how, h("pre", {}, FIRST));
    this.history = h("figure", { class: "history" }, h("figcaption", {}, this.measures.node, this.intervals.node), this.host);
    body.append(
      h("div", { class: "tiles" }, this.now.node, this.people.node, this.orders.node, this.revenue.node),
      this.first,
      this.history,
    );
    this.line = new Line(moving, 56, 60);
    this.columns = new Columns(this.host, 210);
    this.table = new Table(this.history, "");
    this.choose({});
  }

  choose(wanted) {
    Object.assign(this, wanted);
    this.measures.mark(this.measure);
    this.intervals.mark(this.interval);
    if (this.state) this.chart(this.state);
  }

  update(state) {
    this.state = state;
    const { tracking, people, rates } = state;
    show(this.now.node, !!tracking);
    show(this.first, tracking?.received === 0);
    if (tracking) {
      const last = rates.slice(-3);
      say(this.now.value, number(last.reduce((sum, rate) => sum + rate, 0) / Math.max(1, last.length)));
      const refused = tracking.rejected ? `, ${number(tracking.rejected)} refused` : "";
      say(this.now.note, `${number(tracking.accepted)} accepted so far${refused}`);
      this.line.update({ name: "events a second", data: rates });
    }
    show(this.people.node, !!people);
    if (people) {
      say(this.people.value, number(people.people));
      say(this.people.note, `by ${many(people.identities, "id or e-mail address", "ids and e-mail addresses")}`);
    }
    this.chart(state);
  }

  chart(state) {
    const { series, currency } = state;
    for (const node of [this.orders.node, this.revenue.node]) show(node, !!series);
    show(this.history, !!series && series.month.orders.total > 0);
    if (!series) return;
    say(this.orders.value, number(series.month.orders.total));
    say(this.revenue.value, money(series.month.revenue.total, currency));
    const day = (measure) => series.day[measure].data.find((one) => one.start.startsWith(today()))?.value ?? 0;
    say(this.orders.note, `${number(day("orders"))} today`);
    say(this.revenue.note, `${money(day("revenue"), currency)} today`);
    const data = this.periods(series);
    const value = this.measure === "revenue" ? (v) => money(v, currency) : (v) => many(v, "order");
    const tick = this.measure === "revenue" ? (v) => money(v, currency, true) : compact;
    const name = `${this.measure === "revenue" ? "Revenue" : "Orders"} by ${this.interval}`;
    const one = { axis: (start) => axis(start, this.interval), period: (start) => period(start, this.interval) };
    const more = (column) => (column.open ? "so far" : null);
    this.columns.update({ name, data, value, tick, more, wholes: this.measure === "orders", ...one });
    this.table.update(
      [NAMES[this.interval].slice(0, -1), this.measure === "revenue" ? "Revenue" : "Orders"],
      data.map((column) => [one.period(column.start), value(column.value)]),
      name,
    );
  }

  // The last column is of a time that is not over yet.
  periods(series) {
    const { interval, measure } = this;
    let data = series[interval === "week" ? "day" : interval][measure].data;
    if (interval === "week") {
      const weeks = new Map();
      for (const { start, value } of data) weeks.set(monday(start), (weeks.get(monday(start)) ?? 0) + value);
      data = [...weeks].map(([start, value]) => ({ start, value }));
    }
    const now = calendar(today());
    const last = data.at(-1);
    const ends = { day: 1, week: 7, month: 31 }[interval];
    const open = last && (now - calendar(last.start)) / 86_400_000 < ends;
    const begun = data.findIndex((one) => one.value !== 0);
    return data.slice(Math.max(0, begun)).slice(-LONGEST[interval]).map((one) => ({ ...one, open: open && one === last }));
  }
}
