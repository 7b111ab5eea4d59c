"""Who may carry out a command, and what became of it."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    MetaData,
    Row,
    and_,
    case,
    delete,
    false,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.dml import Update

from martech.kernel.commands.rows import Unit, is_open, is_unfinished
from martech.kernel.commands.turns import Turns
from martech.kernel.errors import Conflict, NotFound
from martech.kernel.outbox import Origin

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
"""How long a command belongs to whoever took it, unless they renew; then it is taken over."""

RESEND = timedelta(seconds=30)
"""How long a broker may take to bring a command before we assume that it forgot."""

ATTEMPTS = 8
"""Failures after which a command is parked; that whoever had it was never heard of again is one."""

LOST = (
    "Whoever carried it out was not heard of again: the process was killed, or ran out of memory. "
    "See its log, and what the command needs, before you have it tried again."
)

KEPT = timedelta(days=7)
"""How long a done command can still be looked at."""


class Lease(NamedTuple):
    """A command in the hands of one holder."""

    id: UUID
    tenant: UUID
    type: str
    data: bytes
    attempts: int
    fence: int
    origin: Origin = Origin()


class Stale(Exception):
    """The lease ran out and somebody else took over: nothing done under it may be committed."""


class Commands:
    """One module's commands: who may carry out which, and what became of it.

    Every method runs in a unit of work that the caller opened and commits.
    """

    def __init__(self, metadata: MetaData, resend: timedelta = RESEND) -> None:
        self.table = metadata.tables[f"{metadata.schema}.commands"]
        self.open = is_open(self.table)
        self.unfinished = is_unfinished(self.table)
        self.turns = Turns(self.table)
        self.resend = resend

    async def next_due(self, unit: Unit) -> datetime | None:
        """When the next command is to be handed out, now or later; None if there is none."""
        c = self.table.c
        free = select(c.due_at).where(self.open, self._free(unit.now)).order_by(c.due_at).limit(1)
        moment: datetime | None = (await unit.across(free)).scalar_one_or_none()
        return moment

    async def due(self, unit: Unit, window: int) -> list[UUID]:
        """Commands for the broker, noted as sent; so many that *window* are on their way. The
        oldest first, or if more are due than that, the tenants in turn. One that is on its way is
        not among them until *resend* has passed."""
        c, now = self.table.c, unit.now
        brought = and_(c.sent_at > now - self.resend, c.sent_at <= now)
        on_their_way = await unit.across(select(func.count()).where(brought))
        room, ready = window - on_their_way.scalar_one(), and_(self._free(now), c.due_at <= now)
        if room <= 0:
            return []
        chosen = await self.turns.choose(unit, and_(self.open, ready), room)
        these = select(c.id).where(c.id.in_(chosen), self.unfinished, ready)
        mine = these.with_for_update(skip_locked=True)
        sent = update(self.table).where(c.id.in_(mine)).values(sent_at=now)
        taken = set((await unit.across(sent.returning(c.id))).scalars())
        return [id_ for id_ in chosen if id_ in taken]

    async def recall(self, unit: Unit, ids: Sequence[UUID] | None = None) -> None:
        """Take back that they were sent, or that any was."""
        which = self.table.c.sent_at.is_not(None) if ids is None else self.table.c.id.in_(ids)
        await unit.across(update(self.table).where(which).values(sent_at=None))

    async def lease(self, unit: Unit, id_: UUID, length: timedelta = LEASE) -> Lease | None:
        """Take the command for *length*; None if it is done, parked, not due or in other hands.

        Whoever begins at the time for which it was asked for again, or later, does what was asked
        for, with all attempts before it. Else an attempt is counted of one that is taken over;
        after the last it is parked, or rests until the time asked for.
        """
        taken = await unit.across(self._taking(id_, unit.now, length).returning(self.table))
        row = taken.one_or_none()
        if row is None:
            await self._arrived_early(unit, id_)
            return None
        if row.lease_until is None:
            ended = "parked" if row.parked_at else "put off"
            log.error("%s: %s %s: %s", self.table.schema, ended, id_, LOST)
            return None
        # what the job tells and enqueues was caused by this command
        origin = Origin(row.correlation or row.id, row.id, row.traceparent)
        return Lease(row.id, row.tenant, row.type, row.data, row.attempts, row.fence, origin)

    def _taking(self, id_: UUID, now: datetime, length: timedelta) -> Update:
        c = self.table.c
        free = or_(c.lease_until.is_(None), c.lease_until <= now)
        anew = func.coalesce(c.again_at <= now, false())
        lost = and_(c.lease_until.is_not(None), ~anew)
        last = and_(lost, c.attempts + 1 >= ATTEMPTS)
        resting = and_(last, c.again_at.is_not(None))
        return (
            update(self.table)
            .where(c.id == id_, self.unfinished, c.due_at <= now, free)
            .values(
                fence=c.fence + 1,
                attempts=case((or_(anew, resting), 0), (lost, c.attempts + 1), else_=c.attempts),
                error=case((last, LOST), else_=c.error),
                lease_until=case((last, None), else_=now + length),
                parked_at=case((and_(last, ~resting), now)),
                due_at=case((resting, c.again_at), else_=c.due_at),
                sent_at=None,
                again_at=case((or_(anew, last), None), else_=c.again_at),
            )
        )

    async def _arrived_early(self, unit: Unit, id_: UUID) -> None:
        """Of what came before its time, for the clock was set back, nothing is on its way now."""
        c = self.table.c
        early = update(self.table).where(c.id == id_, c.due_at > unit.now, c.sent_at.is_not(None))
        await unit.across(early.values(sent_at=None))

    async def renew(self, unit: Unit, lease: Lease, length: timedelta = LEASE) -> None:
        """Hold on to the command for another *length*. Raises `Stale`."""
        await self._change(unit, lease, lease_until=unit.now + length)

    async def holds(self, unit: Unit, lease: Lease) -> None:
        """Raise `Stale` unless the lease holds, and let nobody take over before the commit."""
        mine = select(self.table.c.id).where(self._held(lease)).with_for_update(read=True)
        if (await unit.across(mine)).one_or_none() is None:
            raise Stale(f"The command {lease.id} was taken over.")

    async def gets_on(self, unit: Unit, lease: Lease) -> None:
        """As `holds`, of a unit that writes. What it commits is progress: whoever dies after it has
        not been killed by what is done now."""
        if lease.attempts:
            await self._change(unit, lease, attempts=0)
        else:
            await self.holds(unit, lease)

    async def settle(self, unit: Unit, lease: Lease) -> None:
        """It is done (or, if it was asked for again meanwhile, due again). Raises `Stale`."""
        c = self.table.c
        await self._change(
            unit,
            lease,
            done_at=case((c.again_at.is_(None), unit.now)),
            due_at=func.coalesce(c.again_at, c.due_at),
            again_at=None,
            attempts=0,
            **RELEASED,
        )

    async def fail(self, unit: Unit, lease: Lease, error: str) -> bool:
        """Note the failure; try again later, or park after the last attempt. Raises `Stale`.

        If it was asked for again meanwhile, it is tried again no later than then, and after the
        last attempt rests until then, with all attempts before it. That time is used up by who
        begins there: so often as it is asked for is a poison tried to the end, and no oftener.
        Returns whether it was parked.
        """
        again, attempts = self.table.c.again_at, lease.attempts + 1
        last, then = attempts >= ATTEMPTS, unit.now + backoff(attempts, lease.id)
        changed = await self._change(
            unit,
            lease,
            attempts=case((again.is_(None), attempts), else_=0) if last else attempts,
            error=error,
            parked_at=case((again.is_(None), unit.now)) if last else None,
            due_at=func.coalesce(again, then) if last else case((again < then, again), else_=then),
            **RELEASED,
        )
        return changed.parked_at is not None

    async def postpone(self, unit: Unit, lease: Lease, error: str, by: timedelta) -> None:
        """Something it needs is away: later, and no attempt is counted. Raises `Stale`."""
        await self._change(unit, lease, error=error, due_at=unit.now + by, **RELEASED)

    async def parked(self, unit: Unit, limit: int = 100) -> Sequence[Any]:
        """Rows that failed to the end, the longest waiting first."""
        c = self.table.c
        found = await unit.across(
            select(c.id, c.tenant, c.type, c.data, c.attempts, c.parked_at, c.error)
            .where(c.parked_at.is_not(None))
            .order_by(c.parked_at, c.id)
            .limit(limit)
        )
        return found.all()

    async def retry(self, unit: Unit, id_: UUID) -> None:
        """Give a parked command all its attempts again, now."""
        c = self.table.c
        again = update(self.table).where(c.id == id_, c.parked_at.is_not(None))
        try:
            found = await unit.across(
                again.values(parked_at=None, attempts=0, due_at=unit.now).returning(c.id)
            )
        except IntegrityError:
            raise Conflict("A newer command with the same key is open; let it finish.") from None
        if found.one_or_none() is None:
            raise NotFound(f"There is no parked command {id_}; list the parked ones.")

    async def forget(self, unit: Unit, limit: int = 1000) -> bool:
        """Remove up to *limit* commands that have been done for `KEPT`; True if so many were."""
        old = select(self.table.c.id).where(self.table.c.done_at < unit.now - KEPT).limit(limit)
        gone = await unit.across(delete(self.table).where(self.table.c.id.in_(old)))
        return gone.rowcount >= limit

    def _free(self, now: datetime) -> ColumnElement[bool]:
        """In nobody's hands, and not on its way. (Nobody has sent it later than now: then the
        clock was set back.)"""
        c = self.table.c
        return and_(
            or_(c.lease_until.is_(None), c.lease_until <= now),
            or_(c.sent_at.is_(None), c.sent_at <= now - self.resend, c.sent_at > now),
        )

    def _held(self, lease: Lease) -> ColumnElement[bool]:
        c = self.table.c
        mine = and_(c.id == lease.id, c.fence == lease.fence)
        return and_(mine, c.lease_until.is_not(None), self.unfinished)

    async def _change(self, unit: Unit, lease: Lease, **values: Any) -> Row[Any]:
        changing = update(self.table).where(self._held(lease)).values(**values)
        changed = await unit.across(changing.returning(self.table.c.parked_at))
        row = changed.one_or_none()
        if row is None:
            raise Stale(f"The command {lease.id} was taken over.")
        return row


RELEASED: dict[str, None] = {"lease_until": None, "sent_at": None}


def backoff(attempts: int, id_: UUID) -> timedelta:
    """2, 4, 8 … seconds, up to an hour, and up to a quarter more, so that many do not meet."""
    return timedelta(seconds=min(2**attempts, 3600) * (1 + id_.int % 251 / 1000))
