// Asks, keeps what was answered, and has it drawn. Nothing is asked while nobody looks.
import { Api, Away, Refused } from "./api.js";
import { Campaign, OVER, WITHIN } from "./campaign.js";
import { at, say, set, show } from "./dom.js";
import { daysAgo, time, today, ZONE } from "./format.js";
import { House } from "./house.js";
import { Incoming } from "./incoming.js";
import { Segments } from "./segments.js";
import { closed, printed, PURPOSE, story, tell } from "./story.js";

const SECOND = 1000;
const FIGURES = 2.5 * SECOND; // between questions to analytics, which cost more than the others
const SELDOM = 30 * SECOND; // for what hardly changes, and for modules that are not here
const MODEST = 2; // a pause is at least so many times what the questions took: a busy server is left in peace
const SHOWN_SECONDS = 60;
const MOST_SEEN = 600; // points of the curve of what a campaign brought
const KEY = "martech.key";
const ORDER = "Order Completed";

const state = { modules: null, rates: [], errors: {}, chosen: null };
const absent = new Map(); // what was answered with 404 → when to ask again
let key = takeKey();
let api = new Api(key, heard);
let lost = null; // since when nobody answers
let following = null; // the campaign whose progress is streamed, and how to end it

const panels = {
  incoming: new Incoming(body("incoming")),
  segments: new Segments(body("segments")),
  campaign: new Campaign(body("campaign"), choose),
  house: new House(body("house")),
};

// --- the key -------------------------------------------------------------------------------------

// From the address, which forgets it at once, or from this tab's memory. It is never sent but in
// the header of a request.
function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given !== null) {
    history.replaceState(null, "", location.pathname + location.search);
    if (given) sessionStorage.setItem(KEY, given.trim());
  }
  return sessionStorage.getItem(KEY);
}

function useKey(given, refusal = "") {
  key = given;
  if (given) sessionStorage.setItem(KEY, given);
  else sessionStorage.removeItem(KEY);
  following?.abort.abort();
  following = null;
  const { modules } = state;
  for (const name of Object.keys(state)) delete state[name];
  Object.assign(state, { modules, rates: [], errors: {}, chosen: null });
  absent.clear();
  api = new Api(key, heard);
  say(at("refused"), refusal);
  show(at("refused"), !!refusal);
  draw();
  wake();
}

function tryKey(given) {
  if (given?.startsWith("mtw_")) useKey(null, "That is a write key: it can send events and see nothing. A secret key begins with mts_.");
  else useKey(given);
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = at("key").value.trim();
  at("key").value = "";
  tryKey(given);
});
at("leave").addEventListener("click", () => useKey(null));
addEventListener("hashchange", () => {
  if (location.hash.includes("key=")) tryKey(takeKey());
});

// --- asking --------------------------------------------------------------------------------------

// Puts the answer under *name*. A module that is not here leaves nothing, one that says no its words.
// Without a key, which may be forgotten between two questions, only what is told to anyone is asked.
async function ask(name, path, query, read = (answer) => answer) {
  const asked = api;
  if (!key && path !== "/") return;
  if ((absent.get(path) ?? 0) > performance.now()) return;
  try {
    const answer = read(await asked.get(path, query));
    if (asked !== api) return;
    state[name] = answer;
    delete state.errors[name];
    absent.delete(path);
  } catch (error) {
    if (asked !== api) return; // about a key that is no longer used
    if (!(error instanceof Refused) || error.status === 401) throw error;
    if (error.status === 404) {
      absent.set(path, performance.now() + SELDOM);
      delete state[name];
    } else if (error.status !== 503 && error.status !== 504) {
      delete state[name];
      state.errors[name] = error.message;
    }
  }
}

async function fast() {
  await Promise.all([
    ask("modules", "/", {}, (answer) => answer.modules),
    ask("tracking", "/tracking/v1/counts", {}, counted),
    ask("people", "/profiles/v1/counts"),
    ask("segments", "/personalization/v1/segments"),
    ask("campaigns", "/campaigns/v1/campaigns", {}, (answer) => answer.data),
  ]);
  state.campaign = pick();
  if (!state.campaign) return;
  const path = `/campaigns/v1/campaigns/${state.campaign.id}`;
  if (state.status?.id !== state.campaign.id) delete state.status;
  follow(state.campaign.id, `${path}/progress`);
  if (!following?.heard) await ask("status", `${path}/status`);
}

// How many came in since the last time, by the second.
function counted(tally) {
  const now = performance.now();
  if (state.tracking) {
    const rate = (tally.received - state.tracking.received) / Math.max(0.2, (now - state.tracking.at) / SECOND);
    state.rates = [...state.rates, Math.max(0, rate)].slice(-SHOWN_SECONDS);
  }
  return { ...tally, at: now };
}

function pick() {
  const all = state.campaigns ?? [];
  const launched = all.filter((one) => one.launched_at);
  const latest = launched.sort((one, other) => other.launched_at.localeCompare(one.launched_at))[0];
  return all.find((one) => one.id === state.chosen) ?? latest ?? all[0] ?? null;
}

function choose(id) {
  state.chosen = id;
  for (const name of ["status", "conversions", "messages", "mail"]) delete state[name];
  wake();
}

async function figures() {
  const orders = { event: ORDER, timezone: ZONE };
  const revenue = { ...orders, measure: "sum", property: "revenue" };
  const path = "/analytics/v1/series";
  await ask("monthOrders", path, { ...orders, interval: "month" });
  await ask("monthRevenue", path, { ...revenue, interval: "month" });
  if (!state.currency && state.monthOrders?.total) await currency();
  // of today alone, unless the days and weeks before are looked at
  const recent = panels.incoming.interval === "month" && state.dayOrders;
  const day = { interval: "day", from: recent ? today() : daysAgo(371), to: daysAgo(-1) };
  await ask("dayOrders", path, { ...orders, ...day }, sinceThen(state.dayOrders));
  await ask("dayRevenue", path, { ...revenue, ...day }, sinceThen(state.dayRevenue));
  const whole = state.monthOrders && state.monthRevenue && state.dayOrders && state.dayRevenue;
  state.series = whole && {
    month: { orders: state.monthOrders, revenue: state.monthRevenue },
    day: { orders: state.dayOrders, revenue: state.dayRevenue },
  };
}

// The answer behind the days that were answered before.
const sinceThen = (known) => (answer) => {
  const first = answer.data[0]?.start ?? "9999";
  return { ...answer, data: [...(known?.data ?? []).filter((one) => one.start < first), ...answer.data] };
};

// What the chosen campaign brought. Two days are too few for columns of a day each.
async function outcome() {
  const { campaign } = state;
  if (!campaign?.launched_at) return;
  const young = Date.now() - Date.parse(campaign.launched_at) < 48 * 3600 * SECOND;
  const asked = { source: `campaign:${campaign.id}`, interval: young ? "hour" : "day", timezone: ZONE };
  const bought = { event: ORDER, within: WITHIN.text, property: "revenue", by: "products.category", by_property: "products.total", limit: 8 };
  await ask("messages", "/analytics/v1/messages", asked);
  await ask("conversions", "/analytics/v1/conversions", { ...asked, ...bought });
  state.daily = asked.interval;
}

// What the campaign has brought at this moment, for the curve: one point for each change.
function remember() {
  const { campaign, status, conversions } = state;
  if (!campaign?.launched_at || !status || !conversions) return;
  if (state.seen?.of !== campaign.id) state.seen = Object.assign([], { of: campaign.id });
  const { sent, opened, clicked } = status.counts;
  const now = { at: Date.now(), sent, opened, clicked, revenue: conversions.total, orders: conversions.events };
  const last = state.seen.at(-1);
  const changed = (name) => name !== "at" && last?.[name] !== now[name];
  if (Object.keys(now).some(changed)) state.seen.push(now);
  if (state.seen.length > MOST_SEEN) state.seen.splice(1, 2);
}

// Whose key it is.
async function tenant() {
  await ask("tenant", "/access/v1/tenant", {}, ({ name }) => name);
}

// One currency, or none that all orders share.
async function currency() {
  await ask("currency", "/analytics/v1/breakdown", { event: ORDER, by: "currency", limit: 2 }, ({ data }) =>
    data.length === 1 ? data[0].group : null,
  );
}

// How the mail server is, and what the mail says in its subject, once a campaign.
async function mail() {
  const { campaign } = state;
  await ask("server", "/delivery/v1/status");
  if (!campaign) return;
  if (campaign.content_version && state.mail?.version !== campaign.content_version) {
    await ask("mail", `/content/v1/templates/${campaign.content_id}/versions/${campaign.content_version}`);
  }
}

// The campaign's progress, pushed as it changes; whenever that ends, status is asked each second.
async function follow(id, path) {
  const over = OVER.includes((state.status ?? state.campaign).status);
  if (following && (following.id !== id || over)) {
    following.abort.abort();
    following = null;
  }
  if (following || over || (absent.get(path) ?? 0) > performance.now()) return;
  const mine = { id, abort: new AbortController(), heard: false };
  following = mine;
  try {
    await api.stream(path, (status) => {
      if (following !== mine) return;
      mine.heard = true;
      state.status = status;
      redraw();
    }, mine.abort.signal);
  } catch (error) {
    if (error instanceof Refused) absent.set(path, performance.now() + SELDOM);
  }
  if (following === mine) following = null;
}

// --- again and again -----------------------------------------------------------------------------

let waking = [];
const wake = () => waking.splice(0).forEach((go) => go());

const pause = (ms) =>
  new Promise((go) => {
    setTimeout(go, ms);
    waking.push(go);
  });

const looked = () =>
  new Promise((go) => {
    if (document.visibilityState === "visible") go();
    else document.addEventListener("visibilitychange", () => go(), { once: true });
  });

async function every(ms, work) {
  for (;;) {
    await looked();
    const began = performance.now();
    try {
      await work();
    } catch (error) {
      if (error instanceof Refused && error.status === 401 && key) {
        useKey(null, `This key is not accepted: ${error.message} Enter another one.`);
      } else if (!(error instanceof Away) && !(error instanceof Refused)) console.error(error);
    }
    redraw();
    await pause(Math.max(ms, MODEST * (performance.now() - began)));
  }
}

// Whatever cannot be drawn, asking goes on.
function redraw() {
  try {
    remember();
    draw();
  } catch (error) {
    console.error(error);
  }
}

// --- showing -------------------------------------------------------------------------------------

function heard(answered) {
  if (answered) lost = null;
  else lost ??= new Date();
}

function body(id) {
  return at(id).querySelector(".body");
}

const OF_PANEL = {
  incoming: ["tracking", "people", "monthOrders"],
  segments: ["segments"],
  campaign: ["campaigns", "status", "conversions"],
};

function draw() {
  show(at("console"), true);
  show(at("welcome"), !key);
  show(at("leave"), !!key);
  say(at("printed"), printed(state.server) ?? "");
  show(at("printed"), !!printed(state.server));
  const sentences = key && (state.people !== undefined || state.errors.people) ? story(state) : closed(state);
  tell(at("story"), sentences);
  show(at("purpose"), !sentences.includes(PURPOSE)); // it is said once, as long as nothing else is to be told in large
  const there = {
    incoming: key && (state.tracking || state.people),
    segments: key && state.segments,
    campaign: key && state.campaigns,
    house: state.modules?.length > 0,
  };
  for (const [name, panel] of Object.entries(panels)) {
    const refused = (OF_PANEL[name] ?? []).map((one) => state.errors[one]).filter(Boolean);
    show(at(name), !!there[name] || refused.length > 0);
    show(body(name), !!there[name]);
    note(at(name), refused[0] ?? "");
    if (there[name]) panel.update(state);
  }
  say(at("tenant"), state.tenant ? ` · tenant: ${state.tenant}` : "");
  at("console").classList.toggle("narrow-missing", !state.segments);
  pulse();
}

function note(panel, words) {
  let line = panel.querySelector(":scope > .note");
  if (!line && !words) return;
  if (!line) {
    line = document.createElement("p");
    line.className = "note bad";
    panel.append(line);
  }
  say(line, words);
  show(line, !!words);
}

function pulse() {
  const line = at("pulse");
  show(line, !!key || !!lost);
  say(line, lost ? `The server stopped answering at ${time(lost)}. What you see is from then; trying again…` : "live");
  set(line, "data-state", lost ? "bad" : "good");
  document.body.classList.toggle("stale", !!lost);
}

tryKey(key);
every(SECOND, fast);
every(FIGURES, figures);
every(FIGURES, outcome);
every(SECOND * 2, mail);
every(SELDOM, currency);
every(SELDOM, tenant);
