"""How tests call the tracking API, and look at what became of it."""

from uuid import UUID

import httpx
import msgspec

from martech.modules.tracking.contract import Counts, EventsTracked, Rejections, TrackedEvent
from tests.serving import Served


class Tracked:
    """One tenant's view."""

    def __init__(self, served: Served, tenant: UUID | None = None) -> None:
        self.served = served
        self.tenant = tenant or served.tenant
        self.write_key = served.key(kind="write", tenant=self.tenant)
        self.secret_key = served.key("*:*", tenant=self.tenant)

    async def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        """Send *body* (JSON, unless it is bytes) to ``/v1/<path>`` with the write key."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.served.client.post(
            f"/v1/{path}", content=content, headers=headers, auth=(self.write_key, "")
        )

    async def batch(self, *items: object, **envelope: object) -> None:
        answer = await self.post("batch", {"batch": items, **envelope})
        assert (answer.status_code, answer.json()) == (200, {"success": True}), answer.text

    async def counts(self) -> Counts:
        return msgspec.json.decode(await self._get("counts"), type=Counts)

    async def totals(self) -> tuple[int, int, int, int]:
        """Received, accepted, duplicate, rejected; and it is checked that they add up."""
        counts = await self.counts()
        totals = counts.received, counts.accepted, counts.duplicate, counts.rejected
        by_type = [
            (t.received, t.accepted, t.duplicate, t.rejected) for t in counts.by_type.values()
        ]
        assert totals == tuple(sum(column) for column in zip(*by_type, strict=True)) or not by_type
        assert totals[0] == sum(totals[1:])
        return totals

    async def rejections(self, query: str = "") -> Rejections:
        return msgspec.json.decode(await self._get(f"rejections{query}"), type=Rejections)

    async def told(self) -> list[TrackedEvent]:
        """What other modules heard, in order."""
        return [event for told in await self.commits() for event in told.items]

    async def commits(self) -> list[EventsTracked]:
        feed = self.served.host.feed("tracking")
        records = await feed.read(after=0, types=["tracking.events_tracked.v1"], items=100_000)
        return [
            msgspec.json.decode(record.data, type=EventsTracked)
            for record in records
            if record.tenant == self.tenant
        ]

    async def _get(self, path: str) -> bytes:
        answer = await self.served.client.get(
            f"/tracking/v1/{path}", headers={"authorization": f"Bearer {self.secret_key}"}
        )
        assert answer.status_code == 200, answer.text
        return answer.content
