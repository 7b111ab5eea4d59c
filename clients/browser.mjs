// Drives Chromium for a test: a command a line on stdin, its answer a line on stdout.
//   {"do": "go", "url": …} → {"ok": …} or {"error": …}
// Whatever the page says on its console, its errors and the addresses it asks are kept and told.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [executablePath] = process.argv.slice(2);
const PATIENCE = 20_000;
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const context = await browser.newContext();
const page = await context.newPage();
page.setDefaultTimeout(PATIENCE);
const said = [];
const asked = [];
let held; // the question that `hold` lets wait
page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
page.on("pageerror", (error) => said.push(`uncaught: ${error.stack}`));
page.on("dialog", (dialog) => {
  said.push(`dialog: ${dialog.message()}`);
  dialog.dismiss();
});
page.on("request", (request) => asked.push(request.url()));

const commands = {
  go: ({ url }) => page.goto(url).then((answer) => answer?.status() ?? null),
  address: () => page.url(),
  until: ({ selector, text }) => page.locator(selector).filter({ hasText: new RegExp(text) }).first().waitFor(),
  gone: ({ selector }) => page.locator(selector).first().waitFor({ state: "hidden" }),
  text: ({ selector }) => page.locator(selector).first().innerText(),
  visible: ({ selector }) => page.locator(selector).first().isVisible(),
  count: ({ selector }) => page.locator(selector).count(),
  attribute: ({ selector, name }) => page.locator(selector).first().getAttribute(name),
  fill: ({ selector, text }) => page.locator(selector).fill(text),
  click: ({ selector }) => page.locator(selector).first().click(),
  hover: ({ selector }) => page.locator(selector).first().hover(),
  look: ({ width, height, scheme }) =>
    Promise.all([page.setViewportSize({ width, height }), page.emulateMedia({ colorScheme: scheme })]).then(() => null),
  widths: () => page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]),
  contrasts: () => page.evaluate(contrasts),
  kept: () => page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }) + document.cookie),
  // The next question to *url* (a glob) waits, `held`, until `release`, which returns when it is answered.
  hold: ({ url }) =>
    new Promise((ready) => {
      held = new Promise((ask) => page.route(url, ask, { times: 1 }).then(() => ready(null)));
    }),
  held: () => held.then(() => null),
  release: async () => {
    const route = await held;
    const answered = page.waitForEvent("requestfinished", (request) => request === route.request());
    await route.continue();
    await answered;
  },
  asks: ({ url }) => page.waitForRequest(url).then(() => null),
  picture: ({ path }) => page.screenshot({ path, fullPage: true }).then(() => path),
  said: () => said.splice(0),
  asked: () => asked.splice(0),
};

// Every text that is seen, with its contrast to what is painted behind it.
function contrasts() {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    paint.clearRect(0, 0, 1, 1);
    paint.fillStyle = color;
    paint.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = paint.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => under.map((value, index) => top[index] * top[3] + value * (1 - top[3])).slice(0, 3).concat(1);
  const light = ([r, g, b]) => {
    const part = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = (node) => {
    const layers = [];
    for (let one = node; one; one = one.parentElement) layers.unshift(rgba(getComputedStyle(one).backgroundColor));
    return layers.reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const seen = (node) => node.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && node.getBoundingClientRect().width > 1;
  const texts = [...document.querySelectorAll("body *")].filter(
    (node) => seen(node) && [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim()),
  );
  return texts.map((node) => {
    const style = getComputedStyle(node);
    const under = behind(node);
    const ink = over(rgba(node instanceof SVGElement ? style.fill : style.color), under);
    const [dark, bright] = [light(ink), light(under)].sort((a, b) => a - b);
    return { text: node.textContent.trim().slice(0, 40), contrast: (bright + 0.05) / (dark + 0.05) };
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...given } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await commands[name](given)) ?? null };
  } catch (error) {
    const shown = await page.locator("body").innerText({ timeout: 1000 }).catch(() => "");
    answer = { error: `${error.message}\n--- the page shows:\n${shown.slice(0, 3000)}\n--- it said:\n${said.join("\n")}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
