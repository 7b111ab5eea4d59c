"""What tracking and profiles are still to be told of."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import bindparam, delete, select

from martech.modules.delivery.domain.commands import Tell
from martech.modules.delivery.domain.telling import Noted
from martech.modules.delivery.service.rows import Rows
from martech.modules.delivery.tables import engagements, sends
from martech.modules.profiles.contract import Identity

NOTED = tuple(
    engagements.c[name]
    for name in ("id", "kind", "message_id", "profile_id", "at", "detail", "send_id")
)
SEND = tuple(
    sends.c[name]
    for name in ("source", "occasion", "step", "name", "content_id", "content_version")
)


class Telling(Rows):
    async def noted(self, limit: int) -> list[tuple[Noted, Identity | None]]:
        """The oldest facts, each with the name by which tracking knows the person; None where
        there is none."""
        mine = select(*NOTED).where(self._mine(engagements)).order_by(engagements.c.id)
        rows = (await self.tx.execute(mine.limit(limit))).all()
        of = select(sends.c.id, *SEND).where(self._mine(sends))
        ids = sorted({row.send_id for row in rows})
        about = {row.id: tuple(row)[1:] for row in await self.tx.among(of, sends.c.id, ids)}
        people = await self._people({row.profile_id for row in rows})
        told = []
        for row in rows:
            noted = Noted(*tuple(row)[:-1], *about[row.send_id])
            person = people.get(row.profile_id)
            told.append((noted, person[1].identity if person else None))
        return told

    async def told(self, ids: Sequence[UUID], *, more: bool = False) -> None:
        """They are; *more* has another command tell the rest."""
        gone = delete(engagements).where(
            self._mine(engagements), engagements.c.id == bindparam("b_id")
        )
        await self.tx.execute(gone, [{"b_id": id_} for id_ in ids])
        if more:
            tell = Tell()
            self.tx.enqueue(tell, key=tell.key)
