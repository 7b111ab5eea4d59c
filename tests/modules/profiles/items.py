"""Tracked items for tests, in the fewest words."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from martech.kernel.bus import Bus
from martech.kernel.host import Host
from martech.modules.tracking.contract import EventsTracked, TrackedEvent

START = datetime(2026, 12, 1, 12, tzinfo=UTC)


def item(
    number: int,
    type: str = "track",
    user: str | None = None,
    anonymous: str | None = None,
    *,
    minute: float = 0,
    traits: dict[str, object] | None = None,
    received: float | None = None,
    **more: object,
) -> TrackedEvent:
    """Message *number*, as tracking tells it; it happened at *minute* and came in at *received*."""
    plain = {
        "message_id": f"m{number:03}",
        "type": type,
        "person_key": f"user:{user}" if user else f"anonymous:{anonymous}",
        "timestamp": START + timedelta(minutes=minute),
        "received_at": START + timedelta(minutes=1e4 + number if received is None else received),
        "user_id": user,
        "anonymous_id": anonymous,
        "event": f"did {number}" if type == "track" else None,
        "traits": traits or {},
        **more,
    }
    return msgspec.json.decode(msgspec.json.encode(plain), type=TrackedEvent)


async def track(host: Host, tenant: UUID, *batches: Sequence[TrackedEvent]) -> None:
    """Have tracking tell of *batches*, one after the other, and profiles hear of each."""
    for batch in batches:
        async with host.databases["tracking"].transaction(tenant) as tx:
            tx.publish(EventsTracked(items=list(batch)))
        await Bus(host).settle()
