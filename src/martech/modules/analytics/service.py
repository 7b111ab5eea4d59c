"""What analytics does. It keeps facts as it hears them, and answers with figures."""

from collections.abc import Sequence
from typing import Final

from martech.kernel.db import Transaction
from martech.modules.analytics import domain
from martech.modules.analytics.contract import (
    Analytics,
    Breakdown,
    BreakdownGroup,
    Conversions,
    EventName,
    EventNames,
    Kept,
    MessageCounts,
    MessageDay,
    MessageDays,
    Series,
)
from martech.modules.analytics.domain import (
    Calendar,
    Conversion,
    EventStore,
    Frame,
    Kind,
    Measured,
    Path,
    Span,
    Which,
)
from martech.modules.delivery.contract import Bounce, Click, MessageFact, Open, OptOut, SentMessage
from martech.modules.profiles.contract import Activity, ProfilesMerged

KINDS: Final[dict[type[MessageFact], Kind]] = {
    SentMessage: "sent",
    Bounce: "bounced",
    Open: "opened",
    Click: "clicked",
    OptOut: "unsubscribed",
}


class AnalyticsService(Analytics):
    def __init__(self, tx: Transaction, store: EventStore) -> None:
        self.tx = tx
        self.store = store

    def keep_activities(self, activities: Sequence[Activity]) -> None:
        self.store.keep_activities(self.tx.tenant, activities)

    def keep_merges(self, merges: Sequence[ProfilesMerged]) -> None:
        self.store.keep_merges(self.tx.tenant, merges)

    def keep_messages(self, facts: Sequence[MessageFact]) -> None:
        for type_, kind in KINDS.items():
            mine = [fact for fact in facts if isinstance(fact, type_)]
            self.store.keep_messages(self.tx.tenant, kind, mine)

    async def kept(self) -> Kept:
        return await self.store.kept(self.tx.tenant)

    async def event_names(self, limit: int) -> EventNames:
        found = await self.store.names(self.tx.tenant, limit)
        return EventNames(
            data=[
                EventName(type=n.type, event=n.event, count=n.count, first=n.first, last=n.last)
                for n in found
            ]
        )

    async def series(self, which: Which, measured: Measured, frame: Frame) -> Series:
        """One value for each slot of the frame."""
        calendar = await self._calendar(frame, which)
        found: list[domain.Value] = []
        if calendar:
            asked = domain.Series(which, measured, calendar)
            found = await self.store.series(self.tx.tenant, asked)
        whole = next((each.value for each in found if each.key is None), 0)
        begin, end = frame.ends(calendar)
        return Series(
            type=which.type,
            event=which.event,
            measure=measured.measure,
            property=_said(measured.property),
            interval=frame.interval,
            timezone=frame.zone.key,
            from_=begin,
            to=end,
            total=domain.figure(whole, measured.measure),
            data=domain.points(calendar, found, measured.measure) if calendar else [],
        )

    async def breakdown(
        self, which: Which, measured: Measured, by: Path, frame: Frame, limit: int
    ) -> Breakdown:
        """One value for each of the *limit* largest groups."""
        calendar = await self._calendar(frame, which)
        found = domain.Groups(0, 0, [])
        if calendar:
            asked = domain.Breakdown(which, measured, by, calendar.span, limit)
            found = await self.store.breakdown(self.tx.tenant, asked)
        begin, end = frame.ends(calendar)
        return Breakdown(
            type=which.type,
            event=which.event,
            by=by.text,
            measure=measured.measure,
            property=_said(measured.property),
            timezone=frame.zone.key,
            from_=begin,
            to=end,
            total=domain.figure(found.total, measured.measure),
            groups=found.groups,
            data=[
                BreakdownGroup(group=g.group, value=domain.figure(g.value, measured.measure))
                for g in found.data
            ],
        )

    async def conversions(self, asked: Conversion, frame: Frame) -> Conversions:
        """What people did after they were sent a message of one source."""
        sent = None if frame.bounded else await self.store.sent(self.tx.tenant, asked.source)
        there = sent and Span(sent.since, sent.until + asked.within)
        calendar = frame.over(there)
        found = await self.store.conversions(self.tx.tenant, asked, calendar)
        begin, end = frame.ends(calendar)
        return Conversions(
            source=asked.source,
            type=asked.which.type,
            event=asked.which.event,
            within=asked.said,
            property=_said(asked.property),
            by=_said(asked.by),
            by_property=_said(asked.by_property),
            interval=frame.interval,
            timezone=frame.zone.key,
            from_=begin,
            to=end,
            people=found.people,
            converted=found.whole.converted,
            events=found.whole.events,
            total=float(found.whole.total),
            days=domain.conversion_days(calendar, found.days) if calendar else [],
            groups=domain.conversion_groups(found.groups),
        )

    async def messages(self, source: str | None, frame: Frame) -> MessageDays:
        """What became of messages, of one source or of all."""
        there = None if frame.bounded else await self.store.told(self.tx.tenant, source)
        calendar = frame.over(there)
        total, days = MessageCounts(), list[MessageDay]()
        if calendar:
            asked = domain.Messages(source, calendar)
            found = await self.store.messages(self.tx.tenant, asked)
            total, days = domain.message_days(calendar, found)
        begin, end = frame.ends(calendar)
        return MessageDays(
            source=source,
            interval=frame.interval,
            timezone=frame.zone.key,
            from_=begin,
            to=end,
            total=total,
            data=days,
        )

    async def _calendar(self, frame: Frame, which: Which) -> Calendar | None:
        there = None if frame.bounded else await self.store.extent(self.tx.tenant, which)
        return frame.over(there)


def _said(path: Path | None) -> str | None:
    return path.text if path else None
