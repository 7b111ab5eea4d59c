"""Tracked items for tests, in the fewest words."""

from datetime import UTC, datetime, timedelta

import msgspec

from martech.modules.tracking.contract import TrackedEvent

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
