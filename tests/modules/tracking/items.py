"""Items as clients send them, and how tests judge them."""

from datetime import UTC, datetime

import msgspec
from msgspec import Raw

from martech.modules.tracking.contract import Kind, TrackedEvent
from martech.modules.tracking.domain.items import Arrival, Rejection, Verdict, judge

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def item(**fields: object) -> dict[str, object]:
    """A good track; *fields* change it, with None for absent ones."""
    return {"type": "track", "event": "Order Completed", "userId": "ada", **fields}


def judged(
    told: object, *, kind: Kind | None = None, sent_at: object = None, place: int = 0
) -> Verdict:
    raw = told if isinstance(told, bytes) else msgspec.json.encode(told)
    arrival = Arrival(received_at=NOON, request_id="r", kind=kind, sent_at=sent_at)
    return judge(Raw(raw), arrival, place)


def accepted(
    told: object, *, kind: Kind | None = None, sent_at: object = None, place: int = 0
) -> TrackedEvent:
    verdict = judged(told, kind=kind, sent_at=sent_at, place=place)
    assert isinstance(verdict, TrackedEvent), verdict
    return verdict


def rejected(told: object, *, kind: Kind | None = None) -> Rejection:
    verdict = judged(told, kind=kind)
    assert isinstance(verdict, Rejection), verdict
    return verdict
