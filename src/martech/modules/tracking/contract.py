"""Tracking: what people do, as their devices and our customers' servers tell it.

Raw fields hold one JSON object each, undecoded and checked: UTF-8, no name twice, no NUL, at most
`DEPTH` levels, no number that a reader would lose. Absent and ``null`` are both ``{}``.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol, get_args

from msgspec import Raw

from martech.kernel.messages import Folded, Item, View, reads

Kind = Literal["identify", "track", "page", "screen", "group", "alias"]
KINDS: tuple[Kind, ...] = get_args(Kind)

EMPTY = Raw(b"{}")
DEPTH = 32


class TrackedEvent(Item, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One accepted event; its `message_id` was never accepted before within the retention."""

    SUBJECT = "person_key"

    message_id: str
    type: Kind
    person_key: str
    """``user:<user id>``, or ``anonymous:<anonymous id>`` where there is no user id."""

    timestamp: datetime
    """When it happened, by our clock: the sender's clock error is taken out."""

    received_at: datetime
    """Of two items of one request that of the later place is the later one."""

    user_id: str | None = None
    anonymous_id: str | None = None
    previous_id: str | None = None
    """Of an alias: the id by which the person was known so far."""

    group_id: str | None = None
    event: str | None = None
    """What a track did (``Order Completed``), or the name of a page or screen."""

    traits: Raw = EMPTY
    properties: Raw = EMPTY
    context: Raw = EMPTY


class EventsTracked(Folded, frozen=True, kw_only=True):
    """What one commit accepted for one tenant, at most 500 items, in order of arrival."""

    items: list[TrackedEvent]


class Tally(View, frozen=True, kw_only=True):
    """``received == accepted + duplicate + rejected``, always and exactly."""

    received: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0


class Counts(Tally, frozen=True, kw_only=True):
    """Everything this tenant has ever sent; *by_type* sums up to the whole."""

    by_type: Mapping[str, Tally] = {}


class Rejected(View, frozen=True, kw_only=True):
    """An item that was not accepted, and what its sender can do about it."""

    message_id: str
    type: str
    """The kind it claimed to be, or ``unknown``."""

    reason: str
    field: str | None
    received_at: datetime


class Rejections(View, frozen=True, kw_only=True):
    data: list[Rejected]
    next: str | None
    """Give it as ``after`` to go on; null on the last page."""


class Retention(View, frozen=True, kw_only=True):
    days: int
    """How long a messageId is remembered, so that its repetition is known for one; rejections
    are kept as long."""


class Occurrence(View, frozen=True, kw_only=True):
    """Something a person did that another module saw, to be tracked like everything else."""

    message_id: str
    """The same when the same is told again, so that it is accepted once."""

    user_id: str | None = None
    anonymous_id: str | None = None
    event: str
    timestamp: datetime
    properties: Mapping[str, object] = {}


class Tracking(Protocol):
    """What other modules may ask."""

    @reads
    async def counts(self) -> Counts:
        """What ever came in."""
        ...

    async def track(self, occurrences: list[Occurrence]) -> Tally:
        """Take up to 500, judged and counted like those that come over HTTP; what became of
        these."""
        ...
