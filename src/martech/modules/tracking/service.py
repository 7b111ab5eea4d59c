"""What tracking does. Every public method is one use case."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from msgspec import Raw
from sqlalchemy import delete, func, select

from martech.kernel.columns import new_id
from martech.kernel.db import Transaction
from martech.kernel.errors import Invalid
from martech.kernel.grouping import Groups
from martech.kernel.paging import cursor, place
from martech.modules.tracking.contract import (
    Counts,
    EventsTracked,
    Kind,
    Occurrence,
    Rejected,
    Rejections,
    Retention,
    Tally,
    TrackedEvent,
    Tracking,
)
from martech.modules.tracking.domain import memory
from martech.modules.tracking.domain.bodies import Parcel
from martech.modules.tracking.domain.cloudevents import judge_event
from martech.modules.tracking.domain.items import Arrival, Rejection, Verdict, judge, written
from martech.modules.tracking.domain.memory import Forget, digest
from martech.modules.tracking.tables import ledger, rejections, retentions, seen

MOST = 500
"""Occurrences that are tracked at once."""

WAITING = 384
"""Requests that may wait for a commit. Below what a process admits at all, so that a flood of
events is turned away with 429 while everything else is still answered."""

TALLIED = ("received", "accepted", "duplicate", "rejected")
DAILY = timedelta(days=1)


class Delivery(NamedTuple):
    """What one request brought."""

    verdicts: Sequence[Verdict]
    first: bool
    """Of its tenant, since this process began."""


class TrackingService(Tracking):
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    async def take(self, deliveries: Sequence[Delivery]) -> Sequence[None]:
        """Write down what many requests brought: each event accepted once, counted, and told."""
        await self._take(deliveries)
        return [None] * len(deliveries)

    async def track(self, occurrences: list[Occurrence]) -> Tally:
        if len(occurrences) > MOST:
            raise Invalid(f"These are {len(occurrences):,}; track at most {MOST} at once.")
        arrival = Arrival(received_at=self.tx.now, request_id=str(new_id()), kind="track")
        verdicts = [
            judge(written(each), arrival, number) for number, each in enumerate(occurrences)
        ]
        return await self._take([Delivery(verdicts, first=True)]) if verdicts else Tally()

    async def _take(self, deliveries: Sequence[Delivery]) -> Tally:
        received = [verdict for delivery in deliveries for verdict in delivery.verdicts]
        rejected = [verdict for verdict in received if isinstance(verdict, Rejection)]
        candidates: dict[bytes, TrackedEvent] = {}
        for verdict in received:
            if isinstance(verdict, TrackedEvent):
                candidates.setdefault(digest(verdict.message_id), verdict)
        accepted = await self._remember(candidates)
        await self._keep(rejected)
        await self._count(received, accepted, rejected)
        self.tx.publish(EventsTracked(items=accepted))
        if any(delivery.first for delivery in deliveries):
            first = Forget()
            self.tx.enqueue(first, at=self.tx.now + DAILY, key=first.key)
        duplicate = len(received) - len(accepted) - len(rejected)
        return Tally(
            received=len(received),
            accepted=len(accepted),
            duplicate=duplicate,
            rejected=len(rejected),
        )

    async def counts(self) -> Counts:
        sums = [func.sum(ledger.c[name]).label(name) for name in TALLIED]
        mine = select(ledger.c.type, *sums).where(ledger.c.tenant == self.tx.tenant)
        rows = await self.tx.execute(mine.group_by(ledger.c.type).order_by(ledger.c.type))
        by_type = {row[0]: Tally(**_whole(row[1:])) for row in rows}
        total = [sum(getattr(tally, name) for tally in by_type.values()) for name in TALLIED]
        return Counts(**_whole(total), by_type=by_type)

    async def rejections(
        self, *, message_id: str | None = None, after: str | None = None, limit: int = 100
    ) -> Rejections:
        """The newest first."""
        mine = select(rejections).where(rejections.c.tenant == self.tx.tenant)
        if message_id is not None:
            mine = mine.where(rejections.c.message_id == message_id)
        if after is not None:
            mine = mine.where(rejections.c.id < place(after, tuple[UUID])[0])
        mine = mine.order_by(rejections.c.id.desc()).limit(limit + 1)
        rows = (await self.tx.execute(mine)).all()
        data = [
            Rejected(
                message_id=row.message_id,
                type=row.type,
                reason=row.reason,
                field=row.field,
                received_at=row.received_at,
            )
            for row in rows[:limit]
        ]
        return Rejections(data=data, next=cursor(rows[limit - 1].id) if len(rows) > limit else None)

    async def retention(self) -> Retention:
        mine = select(retentions.c.days).where(retentions.c.tenant == self.tx.tenant)
        days = (await self.tx.execute(mine)).scalar_one_or_none()
        return Retention(days=memory.RETENTION if days is None else days)

    async def retain(self, days: int) -> Retention:
        memory.check_retention(days)
        row = {"tenant": self.tx.tenant, "days": days}
        await self.tx.upsert(retentions, [row], keys=["tenant"], update=["days"])
        self.tx.audit("retention.change", "tracking", days=days)
        return Retention(days=days)

    async def forget(self, command: Forget) -> None:
        """One slice at a time, so that no transaction is long; the last one waits for tomorrow."""
        limit = self.tx.now - timedelta(days=(await self.retention()).days)
        first, end = command.digests()
        await self.tx.execute(
            delete(seen).where(
                seen.c.tenant == self.tx.tenant,
                seen.c.digest >= first,
                seen.c.digest < end,
                seen.c.day < limit.toordinal(),
            )
        )
        following, at = Forget(slice=command.slice + 1), self.tx.now
        if following.slice == memory.SLICES:
            following, at = Forget(), self.tx.now + DAILY
            old = delete(rejections).where(rejections.c.tenant == self.tx.tenant)
            await self.tx.execute(old.where(rejections.c.received_at < limit))
        self.tx.enqueue(following, at=at, key=following.key)

    async def _remember(self, candidates: dict[bytes, TrackedEvent]) -> list[TrackedEvent]:
        """Those that nobody sent before. (Sorted, so that two writers wait for, and never block,
        each other.)"""
        tenant, day = self.tx.tenant, self.tx.now.toordinal()
        rows = [{"tenant": tenant, "digest": key, "day": day} for key in sorted(candidates)]
        new = await self.tx.insert_new(seen, rows, returning=["digest"])
        if len(new) == len(candidates):
            return list(candidates.values())
        keys = {row.digest for row in new}
        return [event for key, event in candidates.items() if key in keys]

    async def _keep(self, rejected: Sequence[Rejection]) -> None:
        rows = [
            {
                "tenant": self.tx.tenant,
                "id": new_id(),
                "message_id": rejection.message_id,
                "type": rejection.type,
                "reason": rejection.reason,
                "field": rejection.field,
                "received_at": self.tx.now,
            }
            for rejection in rejected
        ]
        await self.tx.insert(rejections, rows)

    async def _count(
        self,
        received: Sequence[Verdict],
        accepted: Sequence[TrackedEvent],
        rejected: Sequence[Rejection],
    ) -> None:
        """In the same transaction as the effect, so the counts are exact."""
        came, good, bad = (
            Counter(verdict.type for verdict in some) for some in (received, accepted, rejected)
        )
        rows = [
            {
                "tenant": self.tx.tenant,
                "day": self.tx.now.date(),
                "type": kind,
                "received": came[kind],
                "accepted": good[kind],
                "duplicate": came[kind] - good[kind] - bad[kind],
                "rejected": bad[kind],
            }
            for kind in sorted(came)
        ]
        await self.tx.upsert(ledger, rows, keys=["tenant", "day", "type"], add=TALLIED)


class Intake:
    """What comes in, from all requests of this process, on its way into few transactions."""

    def __init__(self, groups: Groups) -> None:
        self.clock = groups.clock
        self._group = groups.of(TrackingService.take, limit=WAITING)
        self._known: set[UUID] = set()

    async def receive(
        self, tenant: UUID, parcel: Parcel, kind: Kind | None = None
    ) -> Sequence[Verdict]:
        """What became of each item, after the commit that holds them is durable.

        *kind* is what all of them are; None where each says it. Raises `TooMany` when more
        waits than can be written, `Unavailable` when nothing was written.
        """
        arrival = Arrival(
            received_at=self.clock.now(),
            request_id=str(new_id()),
            kind=kind,
            sent_at=parcel.sent_at,
            context=parcel.context,
        )
        return await self._take(
            tenant, [judge(item, arrival, number) for number, item in enumerate(parcel.items)]
        )

    async def receive_events(self, tenant: UUID, events: Sequence[Raw]) -> Sequence[Verdict]:
        """The same of CloudEvents."""
        arrival = Arrival(received_at=self.clock.now(), request_id=str(new_id()))
        return await self._take(
            tenant, [judge_event(event, arrival, number) for number, event in enumerate(events)]
        )

    async def _take(self, tenant: UUID, verdicts: Sequence[Verdict]) -> Sequence[Verdict]:
        if verdicts:
            await self._group.submit(tenant, Delivery(verdicts, tenant not in self._known))
            self._known.add(tenant)
        return verdicts


def _whole(numbers: Sequence[int]) -> dict[str, int]:
    return {name: int(number) for name, number in zip(TALLIED, numbers, strict=True)}
