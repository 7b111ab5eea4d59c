"""Time cut into hours, days, weeks and months of a time zone.

A zone's offset from UTC is constant for months at a time; a span is a few such pieces, and in each
of them local time is UTC plus a number of seconds. So a store needs to know nothing of zones.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from martech.kernel.errors import Invalid

Interval = Literal["hour", "day", "week", "month"]

MOST = 5000
"""Rows of an answer."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
LENGTHS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=28),
}
LONGEST = timedelta(days=366)
_DURATION = re.compile(
    r"P(?:(\d{1,4})W)?(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,7})M)?(?:(\d{1,9})S)?)?"
)


class Span(Struct, frozen=True):
    """Half-open: *since* belongs to it, *until* does not. Both are in UTC."""

    since: datetime
    until: datetime


class Piece(NamedTuple):
    """From *since* (in UTC) on, until the next piece, local time is UTC plus *seconds*."""

    since: datetime
    seconds: int
    day: date
    """The one in which it begins; see `Calendar.pieces`."""

    @property
    def falls_back(self) -> bool:
        """Whether its clocks show an earlier day at first."""
        return (self.since + timedelta(seconds=self.seconds)).date() < self.day


class Slot(NamedTuple):
    key: datetime
    """Naive; what a store groups by: of an hour its beginning in UTC, else the local midnight."""

    start: datetime


class Calendar(Struct, frozen=True):
    interval: Interval
    zone: ZoneInfo
    span: Span

    def check(self) -> None:
        """Raise `Invalid` for more slots than anybody can look at."""
        if (self.span.until - self.span.since) / LENGTHS[self.interval] > MOST:
            raise Invalid(
                f"That would be more than {MOST} rows. Ask for a coarser interval, or for less "
                "with from and to.",
                field="interval",
            )

    def pieces(self) -> list[Piece]:
        """At least one; the first begins with the span. A day that has begun goes on where clocks
        fall back across its midnight."""
        found = [self._piece(self.span.since)]
        at = self.span.since
        while at < self.span.until:
            after = min(at + timedelta(days=1), self.span.until)
            if self._offset(after) != found[-1].seconds:
                found.append(self._piece(self._change(at, after)))
            at = after
        return [piece for piece in found if piece.since < self.span.until]

    def slots(self) -> list[Slot]:
        """Everything from the slot with the span's beginning to the one with its end."""
        return list(self._hours() if self.interval == "hour" else self._dates())

    def _hours(self) -> Iterator[Slot]:
        """An hour that a change of the clock cuts is two."""
        pieces = self.pieces()
        ends = [piece.since for piece in pieces[1:]] + [self.span.until]
        for piece, end in zip(pieces, ends, strict=True):
            offset = timedelta(seconds=piece.seconds)
            local = (piece.since + offset).replace(minute=0, second=0, microsecond=0)
            start = local - offset
            if piece is not pieces[0]:
                start = max(start, piece.since)
            while start < end:
                yield Slot(start.replace(tzinfo=None), start.astimezone(self.zone))
                local += timedelta(hours=1)
                start = local - offset

    def _dates(self) -> Iterator[Slot]:
        day = _first(self._day(self.span.since), self.interval)
        while (start := midnight(day, self.zone)) < self.span.until:
            yield Slot(datetime.combine(day, time()), start.astimezone(self.zone))
            day = (
                _first(day + timedelta(days=31), "month")
                if self.interval == "month"
                else (day + LENGTHS[self.interval])
            )

    def _piece(self, since: datetime) -> Piece:
        return Piece(since, self._offset(since), self._day(since))

    def _day(self, at: datetime) -> date:
        """The last that has begun."""
        shown = at.astimezone(self.zone).date()
        following = shown + timedelta(days=1)
        return following if midnight(following, self.zone) <= at else shown

    def _offset(self, at: datetime) -> int:
        offset = at.astimezone(self.zone).utcoffset() or timedelta()
        return round(offset.total_seconds())

    def _change(self, before: datetime, after: datetime) -> datetime:
        """The second at which the offset becomes that of *after*."""
        low, high = 0, round((after - before).total_seconds())
        begin, old = before, self._offset(before)
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(begin + timedelta(seconds=middle)) == old:
                low = middle
            else:
                high = middle
        return (begin + timedelta(seconds=high)).replace(microsecond=0)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of *day*, in UTC; where the clock jumps over it, the moment of the jump."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def zone_of(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        raise Invalid(
            "There is no such time zone. Send an IANA name, such as Europe/Berlin.",
            field="timezone",
        ) from None


def instant(text: str | None, zone: ZoneInfo, field: str) -> datetime | None:
    """A moment with its offset, or a date, which is its midnight in *zone*."""
    if text is None:
        return None
    try:
        if len(text) == len("2026-12-01"):
            at = midnight(date.fromisoformat(text), zone)
        else:
            at = datetime.fromisoformat(text.replace(" ", "+"))  # a + that nobody encoded
        if at.tzinfo is not None and EARLIEST <= at <= LATEST:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Invalid(
        "Send a date (2026-12-01) or a time with its offset (2026-12-01T00:00:00Z; write %2B for "
        f"a +), from {EARLIEST.year} to {LATEST.year}.",
        field=field,
    )


def duration(text: str, field: str) -> timedelta:
    """ISO 8601, without years and months, which have no length."""
    found = _DURATION.fullmatch(text)
    weeks, days, hours, minutes, seconds = (
        (int(n or 0) for n in found.groups()) if found else [0] * 5
    )
    length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not timedelta() < length <= LONGEST:
        raise Invalid(
            f"Send an ISO 8601 duration of at most {LONGEST.days} days, such as P14D or PT36H.",
            field=field,
        )
    return length


def _first(day: date, interval: Interval) -> date:
    if interval == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if interval == "week" else day
