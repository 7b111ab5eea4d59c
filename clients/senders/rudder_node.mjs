// Tells the story with RudderStack's Node client: sender URL KEY.
import RudderAnalytics from "@rudderstack/rudder-sdk-node";

const [url, key] = process.argv.slice(2);
const client = new RudderAnalytics(key, { dataPlaneUrl: url, flushAt: 20 });
const yesterday = new Date(Date.now() - 86_400_000);

client.identify({ userId: "ada", traits: { email: "ada@example.com", name: "Ada Löve 🎉" } });
client.track({
  userId: "ada",
  event: "Order Completed",
  properties: { order_id: "1", revenue: 12.5 },
  originalTimestamp: yesterday,
});
client.track({ userId: "42", event: "Numbered", properties: { url: 'https://example.com/?q="x":1' } });
client.track({ anonymousId: "device-1", event: "Browsed" });
client.page({ userId: "ada", name: "Node", properties: { url: "https://example.com/docs" } });
client.screen({ userId: "ada", name: "Start" });
client.group({ userId: "ada", groupId: "acme", traits: { plan: "gold" } });
client.alias({ userId: "ada", previousId: "device-1" });
await client.flush();
process.exit(0);
