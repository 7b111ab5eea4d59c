"""Analytics: what happened, counted. Everything people did, in a store made for questions.

Times of answers carry the offset of the zone that was asked for. Sums are computed exactly, to 6
decimals, and given as the nearest JSON number. Slots of time in which nothing happened are there.
"""

from datetime import datetime
from typing import Protocol

from martech.kernel.messages import View, reads


class Kept(View, frozen=True, kw_only=True):
    """What the store holds of a tenant."""

    events: int
    messages: int
    """Those of which something is known: sent, bounced, opened, …"""


class EventName(View, frozen=True, kw_only=True):
    type: str
    event: str | None
    """Null for the types that have no names, such as identify."""

    count: int
    first: datetime
    last: datetime


class EventNames(View, frozen=True, kw_only=True):
    data: list[EventName]
    """Most frequent first."""


class Point(View, frozen=True, kw_only=True):
    start: datetime
    value: int | float


class Series(View, frozen=True, kw_only=True, rename={"from_": "from"}):
    type: str
    event: str | None
    measure: str
    property: str | None
    interval: str
    timezone: str
    from_: datetime | None
    """Null, like ``to``, when nothing was asked and nothing is there."""

    to: datetime | None
    total: int | float
    """Of people: the distinct ones in the whole span, which is less than the sum of the rows."""

    data: list[Point]


class BreakdownGroup(View, frozen=True, kw_only=True):
    group: str | None
    """Null for events without such a property."""

    value: int | float


class Breakdown(View, frozen=True, kw_only=True, rename={"from_": "from"}):
    type: str
    event: str | None
    by: str
    measure: str
    property: str | None
    timezone: str
    from_: datetime | None
    to: datetime | None
    total: int | float
    """Over everything, with the groups that are not shown."""

    groups: int
    """How many there are."""

    data: list[BreakdownGroup]
    """Largest first."""


class ConversionDay(View, frozen=True, kw_only=True):
    start: datetime
    converted: int
    """Distinct people of this slot."""

    events: int
    total: float


class ConversionGroup(View, frozen=True, kw_only=True):
    group: str | None
    converted: int
    events: int
    total: float


class Conversions(View, frozen=True, kw_only=True, rename={"from_": "from"}):
    source: str
    type: str
    event: str | None
    within: str
    property: str | None
    by: str | None
    by_property: str | None
    interval: str
    timezone: str
    from_: datetime | None
    to: datetime | None
    people: int
    """Distinct recipients."""

    converted: int
    """Distinct people with an event that counts."""

    events: int
    total: float
    days: list[ConversionDay]
    groups: list[ConversionGroup]


class MessageCounts(View, frozen=True, kw_only=True):
    sent: int = 0
    bounced: int = 0
    opened: int = 0
    clicked: int = 0
    unsubscribed: int = 0


class MessageDay(MessageCounts, frozen=True, kw_only=True):
    start: datetime


class MessageDays(View, frozen=True, kw_only=True, rename={"from_": "from"}):
    source: str | None
    interval: str
    timezone: str
    from_: datetime | None
    to: datetime | None
    total: MessageCounts
    data: list[MessageDay]


class Analytics(Protocol):
    """What other modules may ask."""

    @reads
    async def kept(self) -> Kept:
        """How much there is to be asked about."""
        ...
