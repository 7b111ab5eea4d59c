"""What the mail server's log says of messages of which nobody knew."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from martech.kernel.errors import Conflict
from martech.modules.delivery.contract import Reconciled
from martech.modules.delivery.domain.ledger import Kept
from martech.modules.delivery.domain.logs import Span, span
from martech.modules.delivery.domain.sends import Held
from martech.modules.delivery.domain.settling import Settled
from martech.modules.delivery.service.settling import OPEN, Open, Settling
from martech.modules.delivery.tables import messages, sends

BATCH = 1000
"""Messages that one request settles: so long, on SQLite, everybody else waits."""

Logged = Mapping[UUID, Sequence[UUID]]
"""Of each send, its messages that are in the log, whatever is known of them: what a lane holds now
may be ambiguous before the send is held."""


class Reconciling(Settling):
    async def reconcile(
        self,
        accepted: Collection[UUID],
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        force: bool = False,
    ) -> Reconciled:
        """Ambiguous messages that are among *accepted* were delivered; of the others those will be
        sent whose whole story lies between *since* and *until*, of which the log has everything.
        Raises `Conflict` for a log that cannot be the server's, unless *force* says that it is."""
        covered = span(since, until, self.tx.now)
        states = await self._compare(await self._logged(accepted), covered, force=force)
        answer = Reconciled(
            delivered=states["delivered"],
            pending=states["pending"],
            cancelled=states["cancelled"],
            ambiguous=await self._unsettled(),
            more=states.total() >= BATCH,
        )
        self.tx.audit(
            *("messages.reconciled", ""),
            logged=len(accepted),
            since=since,
            until=until,
            force=force,
            delivered=answer.delivered,
            pending=answer.pending,
            cancelled=answer.cancelled,
        )
        return answer

    async def _compare(self, logged: Logged, covered: Span | None, *, force: bool) -> Counter[Kept]:
        """Settle what can be, send by send; what became of how many."""
        states = Counter[Kept]()
        for send_id in await self._concerned():
            if (left := BATCH - states.total()) <= 0:
                break
            held = await self.hold(send_id)
            done = await self._deliver(held, logged.get(held.id, ()), left)
            if covered is not None and (left := left - done.total()) > 0:
                done += await self._undo(held, logged, covered, left, force=force)
            if done:
                self._wake(held)
                await self.finish(held)
            states += done
        return states

    async def _logged(self, accepted: Collection[UUID]) -> Logged:
        ours = select(messages.c.id, messages.c.send_id).where(self._mine(messages))
        found: dict[UUID, list[UUID]] = {}
        for row in await self.tx.among(ours, messages.c.id, sorted(accepted)):
            found.setdefault(row.send_id, []).append(row.id)
        return found

    async def _concerned(self) -> Sequence[UUID]:
        mine = select(sends.c.id).where(self._mine(sends), sends.c.ambiguous > 0)
        return (await self.tx.execute(mine.order_by(sends.c.id))).scalars().all()

    async def _unsettled(self) -> int:
        mine = select(func.sum(sends.c.ambiguous)).where(self._mine(sends))
        return int((await self.tx.execute(mine)).scalar_one() or 0)

    async def _deliver(self, held: Held, logged: Sequence[UUID], most: int) -> Counter[Kept]:
        """What the log has was delivered."""
        doubtful = select(*OPEN).where(
            self._mine(messages), messages.c.send_id == held.id, messages.c.state == "ambiguous"
        )
        found = await self.tx.among(doubtful, messages.c.id, logged)
        rows = [Open._make(row) for row in found[:most]]
        settled = {row.id: Settled("delivered", row.attempts) for row in rows}
        await self._conclude(held, rows, settled, out_of="ambiguous")
        return Counter(each.state for each in settled.values())

    async def _undo(
        self, held: Held, logged: Logged, covered: Span, most: int, *, force: bool
    ) -> Counter[Kept]:
        """What is ambiguous and not in the log was not delivered, if it was handed over at a time
        of which the log would know."""
        doubtful = select(*OPEN).where(
            self._mine(messages),
            messages.c.send_id == held.id,
            messages.c.state == "ambiguous",
            messages.c.claimed_at >= covered.since,
            messages.c.settled_at <= covered.until,
        )
        there = {*logged.get(held.id, ())}
        found = await self.tx.execute(doubtful.limit(most))
        rows = [Open._make(row) for row in found if row.id not in there]
        if rows and not force:
            await self._doubt(held, logged)
        over = held.status == "cancelled"
        settled = {
            row.id: Settled("cancelled", row.attempts)
            if over
            else Settled("pending", row.attempts, self.tx.now)
            for row in rows
        }
        await self._conclude(held, rows, settled, out_of="ambiguous")
        return Counter(each.state for each in settled.values())

    async def _doubt(self, held: Held, logged: Logged) -> None:
        """Raise `Conflict` if the log lacks what the server has accepted by its own word: then it
        is another's, or a part, and people would get their mail twice."""
        known = held.numbers["delivered"]
        if held.id in logged or not (known or (not logged and await self._ever_delivered())):
            return
        lacks = f"of the send {held.id} ({known:,} accepted)" if known else "that it ever accepted"
        raise Conflict(
            f"The log has no message {lacks}: it is not this server's, or not all of it, and what "
            "it lacks would be sent again. Nothing was changed. Give all of the log from `since` "
            "up to `until`; if this is that, with the parts before it, say `force: true`.",
            field="accepted",
        )

    async def _ever_delivered(self) -> bool:
        mine = select(sends.c.id).where(self._mine(sends), sends.c.delivered > 0)
        return (await self.tx.execute(mine.limit(1))).one_or_none() is not None
