// Tells the story with Segment's browser client, in Chromium: sender URL KEY CHROMIUM [batching].
// The page comes from an origin of its own, so that the browser asks before it sends elsewhere.
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const [url, key, executablePath, option] = process.argv.slice(2);
const STORY = 8;
const clients = dirname(dirname(fileURLToPath(import.meta.url)));
const library = join(clients, "node_modules/@segment/analytics-next/dist/umd");

const site = createServer((request, response) => {
  const file = join(library, new URL(request.url, "http://site").pathname.slice(1));
  if (request.url.endsWith(".js") && existsSync(file)) {
    response.setHeader("content-type", "text/javascript");
    createReadStream(file).pipe(response);
  } else {
    response.setHeader("content-type", "text/html");
    response.end('<!doctype html><title>Shop</title><script src="/index.js"></script>');
  }
});
await new Promise((ready) => site.listen(0, "127.0.0.1", ready));

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  const delivered = deliveries(page, STORY);
  await page.goto(`http://127.0.0.1:${site.address().port}/shop`);
  await page.evaluate(tell, { url, key, batching: option === "batching" });
  await delivered;
} finally {
  await browser.close();
  site.close();
}

// Settles when so many events were answered with success: the client tries again in the background.
function deliveries(page, wanted) {
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${wanted} of the events were never delivered`)), 60_000).unref();
    page.on("response", (response) => {
      const request = response.request();
      if (request.method() !== "POST" || !response.ok()) return;
      const { batch } = request.postDataJSON();
      wanted -= batch ? batch.length : 1;
      if (wanted <= 0) resolve();
    });
  });
}

async function tell({ url, key, batching }) {
  const deliveryStrategy = { strategy: "batching", config: { size: 4, timeout: 500 } };
  const [client] = await window.AnalyticsNext.AnalyticsBrowser.load(
    { writeKey: key, cdnURL: url },
    { integrations: { "Segment.io": batching ? { deliveryStrategy } : {} } },
  );
  await client.identify("ada", { email: "ada@example.com", name: "Ada Löve 🎉" });
  await client.track("Order Completed", { order_id: "1", revenue: 12.5 });
  await client.track("Numbered", { url: 'https://example.com/?q="x":1' });
  await client.track("Browsed");
  await client.page("Docs", "Browser");
  await client.screen("Help", "Start");
  await client.group("acme", { plan: "gold" });
  await client.alias("ada", "device-1");
}
