"""What can be asked of the store, and what it answers. Times are in UTC."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from martech.modules.analytics.domain.calendar import Calendar, Span
from martech.modules.analytics.domain.paths import Path

Type = Literal["track", "page", "screen", "identify", "group", "alias"]
Measure = Literal["count", "people", "sum"]
Kind = Literal["sent", "bounced", "opened", "clicked", "unsubscribed"]

Number = int | Decimal


class Which(Struct, frozen=True):
    """Events of one type and, unless *event* is None, one name."""

    type: Type
    event: str | None


class Measured(Struct, frozen=True):
    """What is counted: events, distinct people, or the sum of a property: of JSON numbers below
    10^12, exactly, to 6 decimals. A property in a list sums up over the list."""

    measure: Measure
    property: Path | None


class Series(Struct, frozen=True):
    which: Which
    measured: Measured
    calendar: Calendar


class Breakdown(Struct, frozen=True):
    """Groups by what stands at *by*. An event is in the group of each of its lines.

    A property of the same lines is summed line by line; any other is the event's, and counts once
    in each group of the event.
    """

    which: Which
    measured: Measured
    by: Path
    span: Span
    limit: int


class Conversion(Struct, frozen=True):
    """Events of people to whom *source* sent a message, from that moment on and before *within* is
    over. Of several messages the last one before the event has the credit, whoever sent it."""

    source: str
    which: Which
    said: str
    """*within*, as the caller wrote it."""

    within: timedelta
    property: Path | None
    by: Path | None
    by_property: Path | None
    """What is summed in groups."""

    limit: int
    """Of groups."""


class Messages(Struct, frozen=True):
    """What became of messages; each counts once a kind, when it happened first."""

    source: str | None
    calendar: Calendar


class Value(Struct, frozen=True):
    key: datetime | None
    """A `Slot`'s; None is the whole span."""

    value: Number


class Group(Struct, frozen=True):
    group: str | None
    value: Number


class Groups(Struct, frozen=True):
    total: Number
    groups: int
    """How many there are; *data* may be fewer."""

    data: list[Group]


class Converted(Struct, frozen=True):
    key: datetime | None
    converted: int
    events: int
    total: Decimal


class ConvertedGroup(Struct, frozen=True):
    group: str | None
    converted: int
    events: int
    total: Decimal


class Outcome(Struct, frozen=True):
    people: int
    whole: Converted
    days: list[Converted]
    groups: list[ConvertedGroup]


class Happened(Struct, frozen=True):
    key: datetime
    kind: Kind
    messages: int


class Named(Struct, frozen=True):
    """A name that events have."""

    type: Type
    event: str | None
    count: int
    first: datetime
    last: datetime
