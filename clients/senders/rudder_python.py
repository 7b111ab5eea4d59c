"""Tells the story with RudderStack's Python client: sender URL KEY."""

import sys
from datetime import UTC, datetime, timedelta

from rudderstack.analytics.client import Client

url, key = sys.argv[1:]
failures: list[object] = []
client = Client(key, host=url, on_error=lambda error, batch: failures.append(error), max_retries=2)
yesterday = datetime.now(UTC) - timedelta(days=1)

client.identify("ada", {"email": "ada@example.com", "name": "Ada Löve 🎉"})
client.track("ada", "Order Completed", {"order_id": "1", "revenue": 12.5}, timestamp=yesterday)
client.track(42, "Numbered", {"url": 'https://example.com/?q="x":1'})
client.track(None, "Browsed", anonymous_id="device-1")
client.page("ada", "Docs", "Python", {"url": "https://example.com/docs"})
client.screen("ada", "Help", "Start")
client.group("ada", "acme", {"plan": "gold"})
client.alias("device-1", "ada")
client.shutdown()
sys.exit(f"{failures}" if failures else 0)
