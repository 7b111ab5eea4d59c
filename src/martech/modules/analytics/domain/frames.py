"""The span of time that a question is about, before it is known what there is."""

from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from martech.kernel.errors import Invalid
from martech.modules.analytics.domain.calendar import (
    EARLIEST,
    LATEST,
    Calendar,
    Interval,
    Span,
    instant,
    zone_of,
)


class Frame(Struct, frozen=True):
    """Where *since* or *until* is None, what there is bounds it."""

    interval: Interval
    zone: ZoneInfo
    since: datetime | None
    until: datetime | None

    @property
    def bounded(self) -> bool:
        return self.since is not None and self.until is not None

    def over(self, there: Span | None) -> Calendar | None:
        """The slots to look at; None when there is nothing to be seen. Raises `Invalid` for more
        than can be shown."""
        begin = self.since or (max(there.since, EARLIEST) if there else None)
        end = self.until or (min(there.until, LATEST) if there else None)
        if begin is None or end is None or begin >= end:
            return None
        calendar = Calendar(self.interval, self.zone, Span(begin, end))
        calendar.check()
        return calendar

    def ends(self, calendar: Calendar | None) -> tuple[datetime | None, datetime | None]:
        """What was looked at, in the zone; what was asked for when nothing was."""
        begin, end = self.since, self.until
        if calendar:
            begin, end = calendar.span.since, calendar.span.until
        return begin and begin.astimezone(self.zone), end and end.astimezone(self.zone)


def frame(interval: Interval, timezone: str, begin: str | None, end: str | None) -> Frame:
    """Read what a caller sent; raise `Invalid` for what is wrong."""
    zone = zone_of(timezone)
    asked = Frame(interval, zone, instant(begin, zone, "from"), instant(end, zone, "to"))
    if asked.since and asked.until and asked.since >= asked.until:
        raise Invalid("Send a from that lies before to; to itself does not belong.", field="to")
    return asked
