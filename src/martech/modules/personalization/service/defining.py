"""What segments there are."""

from uuid import UUID

from sqlalchemy import delete, func, insert, select, update

from martech.kernel.columns import new_id
from martech.kernel.errors import Conflict, NotFound
from martech.modules.personalization.contract import Segment
from martech.modules.personalization.domain import conditions
from martech.modules.personalization.domain.catalog import definitions
from martech.modules.personalization.domain.commands import Recompute
from martech.modules.personalization.service.looking import Looking
from martech.modules.personalization.service.rows import Register
from martech.modules.personalization.tables import measures, registers, segments

MOST = 200
MOST_MEASURES = 300
MOST_BYTES = 200_000
"""Of a tenant: what each event is held against has an end, and so has what is kept in memory."""


class Defining(Looking):
    async def create_segment(self, name: str, condition: object) -> Segment:
        """Its members are computed from the past at once, a page at a time, beside what goes on.
        Raises `Invalid` for a condition that is none."""
        checked, stored = conditions.written(condition)
        register = await self._alone()
        await self._room(MOST - 1, len(stored))
        id_ = new_id()
        row = {
            "tenant": self.tx.tenant,
            "id": id_,
            "number": register.segments + 1,
            "name": name,
            "condition": stored,
            "version": 1,
            "ready": False,
            "looked_to": None,
            "looked_at": 0,
            "size": 0,
            "deleted": False,
            "created_at": self.tx.now,
            "updated_at": self.tx.now,
        }
        await self.tx.execute(insert(segments), [row])
        last = update(registers).where(*self._mine(registers))
        await self.tx.execute(last.values(segments=register.segments + 1))
        await self._number(checked, register)
        self._compute(id_)
        self.tx.audit("segment.created", str(id_), name=name)
        return await self.segment(id_)

    async def change_segment(self, segment_id: UUID, name: str, condition: object) -> Segment:
        """Another condition is another version, computed anew; another name is only that."""
        checked, stored = conditions.written(condition)
        register = await self._alone()
        before = await self.segment(segment_id)
        changes: dict[str, object] = {"name": name, "updated_at": self.tx.now}
        if bytes(before.condition) != stored:
            await self._room(MOST, len(stored) - len(before.condition))
            changes |= {"condition": stored, "version": before.version + 1}
            changes |= {"ready": False, "looked_to": None, "looked_at": 0}
        mine = update(segments).where(*self._mine(segments), segments.c.id == segment_id)
        await self.tx.execute(mine.values(changes))
        if "version" in changes:
            await self._forget_measures()
            await self._number(checked, register)
            self._compute(segment_id)
        self.tx.audit("segment.changed", str(segment_id), name=name, version=before.version)
        return await self.segment(segment_id)

    async def _room(self, others: int, more: int) -> None:
        """Refuse what would be more segments than *others* and one, or too much to hold."""
        weight = func.coalesce(func.sum(func.length(segments.c.condition)), 0)
        there = select(func.count().label("number"), weight.label("size"))
        held = (await self.tx.execute(there.where(*self._mine(segments)))).one()
        if held.number > others:
            raise Conflict(f"There are {MOST} segments already. Delete one that nobody uses.")
        if held.size + more > MOST_BYTES:
            raise Conflict(
                f"The conditions of all segments together may have {MOST_BYTES:,} bytes. Shorten "
                "one, or delete one that nobody uses."
            )

    async def delete_segment(self, segment_id: UUID) -> None:
        """It is no more, from the commit on; its members leave a page at a time."""
        await self._alone()
        mine = update(segments).where(
            *self._mine(segments), segments.c.id == segment_id, segments.c.deleted.is_(False)
        )
        found = await self.tx.execute(mine.values(deleted=True).returning(segments.c.id))
        if found.one_or_none() is None:
            raise NotFound(f"There is no segment {segment_id}.")
        await self._forget_measures()
        self._compute(segment_id)
        self.tx.audit("segment.deleted", str(segment_id))

    def _compute(self, segment_id: UUID) -> None:
        command = Recompute(segment_id=segment_id)
        self.tx.enqueue(command, key=command.key)

    async def _number(self, condition: conditions.Condition, register: Register) -> None:
        """Give numbers to those measures of *condition* that are kept of nobody yet."""
        known = select(measures.c.definition).where(*self._mine(measures))
        there = {row.definition for row in await self.tx.execute(known)}
        new = [key for key in sorted(definitions(condition)) if key not in there]
        if not new:
            return
        if len(there) + len(new) > MOST_MEASURES:
            raise Conflict(
                f"All segments together ask for over {MOST_MEASURES} different numbers of people's "
                "behaviour. Delete a segment, or ask for the same events and windows."
            )
        rows = [
            {"tenant": self.tx.tenant, "number": number, "definition": definition}
            for number, definition in enumerate(new, register.measures + 1)
        ]
        await self.tx.insert(measures, rows)
        last = update(registers).where(*self._mine(registers))
        await self.tx.execute(last.values(measures=register.measures + len(new)))

    async def _forget_measures(self) -> None:
        """Those that no segment asks for any more. Their numbers are never given again."""
        mine = select(segments.c.condition).where(
            *self._mine(segments), segments.c.deleted.is_(False)
        )
        asked = set[bytes]()
        for row in await self.tx.execute(mine):
            asked |= definitions(conditions.parsed(row.condition)).keys()
        kept = select(measures.c.number, measures.c.definition).where(*self._mine(measures))
        idle = [r.number for r in await self.tx.execute(kept) if r.definition not in asked]
        if idle:
            one = delete(measures).where(*self._mine(measures), measures.c.number.in_(idle))
            await self.tx.execute(one)
