// One campaign: how far it is, what became of its mails, and what people bought after them.
import { Columns, Curve, Table } from "./charts.js";
import { h, keep, say, set, show, size } from "./dom.js";
import { axis, compact, label, many, money, number, percent, period, share, time, when } from "./format.js";
import { choice } from "./incoming.js";
import { printed } from "./story.js";

export const OVER = ["completed", "cancelled", "failed"];
export const WITHIN = { days: 14, text: "P14D" };

const WORDS = {
  draft: "draft", scheduled: "scheduled", launching: "reading its audience", sending: "sending", paused: "paused",
  completed: "completed", cancelled: "cancelled", failed: "failed",
};
const LEFT_OUT = {
  pending: "waiting for their turn",
  deferred: "to be tried again: the mail server said “later”",
  ambiguous: "unclear: the connection broke before the mail server’s word",
  bounced: "refused for good by the mail server",
  failed: "could not be made or delivered",
  suppressed: "left out: they want no mail, or moved",
  unreachable: "left out: no address",
  duplicate: "left out: somebody else’s address, or sent before",
  cancelled: "cancelled before they left",
};
const LIQUID = /\{\{.*?\}\}|\{%.*?%\}/g; // what only the recipient’s mail says
const ENOUGH = 3; // columns to look at; before there are, what was seen here is drawn
const SERIES = { revenue: "Revenue", orders: "Orders", opened: "Opened", clicked: "Clicked", sent: "Sent" };

export class Campaign {
  constructor(body, chosen) {
    this.series = "revenue";
    this.pick = h("select", { "aria-label": "Which campaign", change: (event) => chosen(event.target.value) });
    this.name = h("h3");
    this.status = h("span", { class: "pill" });
    this.about = h("p", { class: "quiet about" });
    this.problem = h("p", { class: "bad problem", role: "alert" });
    this.bar = h("i");
    const told = { role: "progressbar", "aria-label": "How far the sending is", "aria-valuemin": 0, "aria-valuemax": 100 };
    this.meter = h("div", { class: "meter progress", ...told }, this.bar);
    this.rows = h("tbody");
    this.rest = h("ul", { class: "rest quiet" });
    this.none = h("p", { class: "quiet" }, "No campaign yet. One is a mail to the people of a segment; what they do after it is counted here.");
    this.choices = choice("What to show", SERIES, (value) => this.choose(value));
    this.host = h("div");
    this.rhythm = h("h4");
    this.live = h("div");
    this.days = h("figure", { class: "days" }, h("figcaption", {}, this.rhythm, this.choices.node), this.host, this.live);
    this.groups = h("tbody");
    this.departments = h("figure", { class: "departments" }, h("figcaption", {}, h("h4", {}, "What they bought")),
      h("table", { class: "bars" }, h("caption", { class: "unseen" }, "What they bought, by department"),
        h("thead", { class: "unseen" }, h("tr", {}, ["Department", "Share", "Revenue"].map((name) => h("th", { scope: "col" }, name)))),
        this.groups));
    this.whole = h("div", { class: "campaign" },
      h("div", { class: "head" }, h("div", { class: "title" }, this.name, this.status, this.pick), this.about, this.problem, this.meter),
      h("div", { class: "funnel" },
        h("table", { class: "bars" }, h("caption", { class: "unseen" }, "From the audience to those who bought"),
          h("thead", { class: "unseen" }, h("tr", {}, ["Stage", "Bar", "People", "Share"].map((name) => h("th", { scope: "col" }, name)))),
          this.rows),
        this.rest),
      this.departments, this.days);
    body.append(this.whole, this.none);
    this.columns = new Columns(this.host, 180);
    this.curve = new Curve(this.live, 180);
    this.table = new Table(this.days, "");
    this.choices.mark(this.series);
  }

  choose(series) {
    this.series = series;
    this.choices.mark(series);
    if (this.state) this.draw(this.state);
  }

  update(state) {
    this.state = state;
    const { campaigns, campaign, status } = state;
    show(this.none, !campaign);
    show(this.whole, !!campaign);
    if (!campaign) return;
    this.head(state, status ?? campaign);
    const shown = status ?? { counts: {}, expected: null };
    keep(this.rows, stages(state, shown), (one) => one.name, stage, (node, one) => {
      say(node.name, one.title);
      say(node.value, one.value);
      say(node.words, one.words);
      size(node.bar, one.size);
      set(node, "data-kind", one.kind ?? "");
    });
    const left = Object.entries(LEFT_OUT).filter(([name]) => shown.counts[name] > 0);
    keep(this.rest, left, ([name]) => name, () => h("li"), (node, [name, words]) => say(node, `${number(shown.counts[name])} ${words}`));
    this.draw(state);
    show(this.pick, campaigns.length > 1);
    keep(this.pick, campaigns, (one) => one.id, (one) => h("option", { value: one.id }), (node, one) => {
      say(node, `${one.name} · ${WORDS[one.status] ?? one.status}`);
      if (one.id === campaign.id && !node.selected) node.selected = true;
    });
  }

  head({ campaign, segments, mail, server }, status) {
    say(this.name, campaign.name);
    say(this.status, WORDS[status.status] ?? status.status);
    set(this.status, "data-status", status.status);
    const segment = segments?.data.find((one) => one.id === campaign.segment_id);
    const facts = [
      segment ? `to ${segment.name}` : null,
      mail?.subject ? `“${mail.subject.replace(LIQUID, "…")}”` : null,
      since(status),
      status.counts?.audience === 0 ? status.remark : null, // else the list below says who was left out
    ];
    say(this.about, facts.filter(Boolean).join(" · "));
    const said = printed(server) && status.problem?.startsWith(printed(server)); // at the top of the page
    const problem = said ? null : (status.problem ?? trouble(server, status.status));
    say(this.problem, problem ?? "");
    show(this.problem, !!problem);
    const done = status.progress ?? 0;
    size(this.bar, done);
    set(this.meter, "aria-valuenow", Math.round(done * 100));
    set(this.meter, "data-state", problem ? "bad" : status.status);
    show(this.meter, !["draft", "scheduled"].includes(status.status));
  }

  draw(state) {
    const { conversions, messages, currency, daily } = state;
    const given = { revenue: conversions, orders: conversions, opened: messages, clicked: messages, sent: messages };
    const there = Object.keys(SERIES).filter((name) => given[name]);
    const anything = messages?.data.some((one) => one.sent || one.opened || one.clicked) || conversions?.events > 0;
    show(this.days, !!anything);
    this.choices.offer(there);
    const groups = (conversions?.groups ?? []).filter((one) => one.total > 0);
    show(this.departments, groups.length > 0);
    this.department(groups, currency);
    if (!anything) return;
    const name = there.includes(this.series) ? this.series : there[0];
    const days = name === "revenue" || name === "orders" ? conversions.days : messages.data;
    const field = { revenue: "total", orders: "events" }[name] ?? name;
    const past = days.filter((one) => Date.parse(one.start) <= Date.now());
    const data = past.map((one) => ({ start: one.start, value: one[field], converted: one.converted }));
    const value = name === "revenue" ? (v) => money(v, currency) : name === "orders" ? (v) => many(v, "order") : (v) => `${number(v)} ${name}`;
    const tick = name === "revenue" ? (v) => money(v, currency, true) : compact;
    const interval = daily ?? "day";
    const more = (one) => (one.converted === undefined ? null : `${many(one.converted, "buyer")}`);
    this.columns.update({
      name: `${SERIES[name]} by ${interval}`, data, value, tick, more, wholes: name !== "revenue",
      axis: (start) => axis(start, interval), period: (start) => period(start, interval),
    });
    this.table.update(["When", SERIES[name]], data.map((one) => [period(one.start, interval), value(one.value)]), SERIES[name]);
    this.asItHappens(state, name, { value, tick, short: data.length < ENOUGH && interval === "hour" });
  }

  // How it grew while this page was open.
  asItHappens({ seen, daily }, name, { value, tick, short }) {
    const data = (seen ?? []).map((one) => ({ at: one.at, value: one[name] ?? 0 }));
    const live = short && data.length >= ENOUGH;
    if (live) data.push({ at: Date.now(), value: data.at(-1).value });
    show(this.live, live);
    show(this.host, !live);
    say(this.rhythm, live ? "As it happens" : daily === "hour" ? "Hour by hour" : "Day by day");
    if (live) this.curve.update({ name: SERIES[name], data, value, tick, time: (ms) => time(new Date(ms)), wholes: name !== "revenue" });
  }

  department(groups, currency) {
    const most = Math.max(...groups.map((one) => one.total), 0);
    keep(this.groups, groups, (one) => one.group ?? "", department, (node, one) => {
      say(node.name, one.group === null ? "without a department" : label(one.group));
      say(node.value, money(one.total, currency));
      size(node.bar, one.total / most);
    });
  }
}

function since(status) {
  if (status.completed_at) return `${WORDS[status.status]} ${when(status.completed_at)}`;
  if (status.launched_at) return `launched ${when(status.launched_at)}`;
  return status.scheduled_at ? `leaves ${when(status.scheduled_at)}` : null;
}

function trouble(server, status) {
  return server?.reachable === false && !OVER.includes(status) ? server.problem : null;
}

function stages({ conversions, currency }, { counts, expected }) {
  const audience = Math.max(counts.audience ?? 0, expected ?? 0);
  const of = (value, base, kind) => (base ? `${percent(value, base)} ${kind}` : "");
  const found = [
    { name: "audience", title: "in the audience", value: audience, words: "" },
    { name: "sent", title: "sent", value: counts.sent ?? 0, words: of(counts.sent ?? 0, audience, "of the audience") },
    { name: "delivered", title: "delivered", value: counts.delivered ?? 0, words: of(counts.delivered ?? 0, counts.sent, "of those sent") },
    { name: "opened", title: "opened it", value: counts.opened ?? 0, words: read(counts.opened ?? 0, counts.delivered) },
    { name: "clicked", title: "clicked", value: counts.clicked ?? 0, words: read(counts.clicked ?? 0, counts.delivered) },
  ];
  if (conversions) {
    const { converted, total, events } = conversions;
    const words = converted ? `${money(total, currency)} in ${many(events, "order")}` : `within ${WITHIN.days} days of the mail`;
    found.push({ name: "converted", title: "bought", value: converted, words, kind: "gain" });
  }
  const gone = counts.unsubscribed ?? 0;
  const words = of(gone, counts.delivered, "of those delivered");
  found.push({ name: "unsubscribed", title: "unsubscribed", value: gone, words, kind: "loss" });
  return found.map((one) => ({ ...one, value: number(one.value), size: audience ? one.value / audience : 0 }));
}

const read = (part, all) => (!all ? "" : part ? `${percent(part, all)}, ${share(part, all)}` : "nobody yet");

function stage() {
  const node = h("tr");
  node.name = h("th", { scope: "row" });
  node.bar = h("i", { "aria-hidden": "true" });
  node.value = h("td", { class: "value" });
  node.words = h("td", { class: "quiet" });
  node.append(node.name, h("td", { class: "track" }, node.bar), node.value, node.words);
  return node;
}

function department() {
  const node = h("tr");
  node.name = h("th", { scope: "row" });
  node.bar = h("i", { "aria-hidden": "true" });
  node.value = h("td", { class: "value" });
  node.append(node.name, h("td", { class: "track" }, node.bar), node.value);
  return node;
}
