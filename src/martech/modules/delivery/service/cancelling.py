"""A send that is called off: at once for whoever claims, and row by row in the ledger."""

from collections import Counter
from uuid import UUID

from sqlalchemy import bindparam, select, update

from martech.kernel.errors import Conflict
from martech.modules.delivery.contract import Send
from martech.modules.delivery.domain.commands import CancelWaiting
from martech.modules.delivery.domain.sends import Held
from martech.modules.delivery.domain.settling import ASIDE
from martech.modules.delivery.service.rows import Rows
from martech.modules.delivery.tables import messages

BATCH = 1000
"""Messages that are cancelled in one transaction: so long, on SQLite, everybody else waits."""


class Cancelling(Rows):
    async def cancel_send(self, send_id: UUID) -> Send:
        held = await self.hold(send_id)
        if held.status == "completed":
            raise Conflict("The send is completed; that is for good.")
        if held.status != "cancelled":
            held.status = "cancelled"  # whoever claims holds the send and reads this
            self.tx.audit("send.cancelled", str(send_id))
        await self._free(held)
        await self._cancel(held)
        return await self.finish(held)

    async def cancel_waiting(self, send_id: UUID) -> None:
        """The next of what waits of a cancelled send; another command goes on."""
        held = await self.hold(send_id)
        await self._cancel(held)
        await self.finish(held)

    async def _free(self, held: Held) -> None:
        """What was refused in a row, and waited to know why, waits like all the others."""
        aside = update(messages).where(
            self._mine(messages),
            messages.c.send_id == held.id,
            messages.c.lane.in_(ASIDE.values()),
        )
        await self.tx.execute(aside.values(state="pending", lane=None, due_at=self.tx.now))

    async def _cancel(self, held: Held) -> None:
        waiting = select(messages.c.id, messages.c.state).where(
            self._mine(messages), messages.c.send_id == held.id, messages.c.due_at.is_not(None)
        )
        rows = (await self.tx.execute(waiting.limit(BATCH))).all()
        if not rows:
            return
        gone = {"state": "cancelled", "due_at": None, "settled_at": self.tx.now}
        await self.tx.execute(
            update(messages)
            .where(self._mine(messages), messages.c.id == bindparam("b_id"))
            .values(**gone),
            [{"b_id": row.id} for row in rows],
        )
        for state, number in Counter(row.state for row in rows).items():
            held.move("cancelled", number, out_of=state)
        if len(rows) == BATCH:
            command = CancelWaiting(send_id=held.id)
            self.tx.enqueue(command, key=command.key)
