"""What the mail server's log says of messages of which nobody knew."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from martech.kernel.errors import Invalid
from martech.modules.delivery.contract import Reconciled
from martech.modules.delivery.domain.ledger import Kept
from martech.modules.delivery.domain.sends import Held
from martech.modules.delivery.domain.settling import Settled
from martech.modules.delivery.service.settling import COLUMNS, Settling
from martech.modules.delivery.tables import messages


class Reconciling(Settling):
    async def reconcile(self, accepted: Collection[UUID], until: datetime) -> Reconciled:
        """Ambiguous messages that are among *accepted* were delivered; the others will be sent,
        if they became ambiguous before *until*, up to when the log was read."""
        if until > self.tx.now:
            raise Invalid("A log cannot have been read up to then yet.", field="until")
        states: list[Kept] = []
        unsettled = 0
        for send_id in await self._concerned():
            held = await self.hold(send_id)
            settled = await self._resolve(held, accepted, until)
            states += [each.state for each in settled.values()]
            unsettled += held.numbers["ambiguous"]
            if settled:
                self._wake(held)
                await self.finish(held)
        answer = Reconciled(
            delivered=states.count("delivered"),
            pending=states.count("pending"),
            cancelled=states.count("cancelled"),
            ambiguous=unsettled,
        )
        self.tx.audit("messages.reconciled", "", delivered=answer.delivered, until=until)
        return answer

    async def _concerned(self) -> list[UUID]:
        mine = select(messages.c.send_id).where(
            self._mine(messages), messages.c.state == "ambiguous"
        )
        return sorted((await self.tx.execute(mine.distinct())).scalars().all())

    async def _resolve(
        self, held: Held, accepted: Collection[UUID], until: datetime
    ) -> dict[UUID, Settled]:
        """One send's."""
        mine = select(*COLUMNS, messages.c.settled_at).where(
            self._mine(messages), messages.c.send_id == held.id, messages.c.state == "ambiguous"
        )
        rows = (await self.tx.execute(mine)).all()
        known = [row for row in rows if row.id in accepted or row.settled_at <= until]
        settled = {}
        for row in known:
            if row.id in accepted:
                settled[row.id] = Settled("delivered", row.attempts)
            elif held.status == "cancelled":
                settled[row.id] = Settled("cancelled", row.attempts)
            else:
                settled[row.id] = Settled("pending", row.attempts, self.tx.now)
        await self._conclude(held, known, settled, out_of="ambiguous")
        return settled
