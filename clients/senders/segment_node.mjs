// Tells the story with Segment's Node client: sender URL KEY.
import { Analytics } from "@segment/analytics-node";

const [url, key] = process.argv.slice(2);
const client = new Analytics({ writeKey: key, host: url, maxEventsInBatch: 3 });
const failures = [];
client.on("error", (error) => failures.push(error));
const yesterday = new Date(Date.now() - 86_400_000);

client.identify({ userId: "ada", traits: { email: "ada@example.com", name: "Ada Löve 🎉" } });
client.track({
  userId: "ada",
  event: "Order Completed",
  properties: { order_id: "1", revenue: 12.5 },
  timestamp: yesterday,
});
client.track({ userId: "42", event: "Numbered", properties: { url: 'https://example.com/?q="x":1' } });
client.track({ anonymousId: "device-1", event: "Browsed" });
client.page({ userId: "ada", category: "Docs", name: "Node", properties: { url: "https://example.com/docs" } });
client.screen({ userId: "ada", category: "Help", name: "Start" });
client.group({ userId: "ada", groupId: "acme", traits: { plan: "gold" } });
client.alias({ userId: "ada", previousId: "device-1" });
await client.closeAndFlush();
if (failures.length) {
  console.error(failures);
  process.exit(1);
}
