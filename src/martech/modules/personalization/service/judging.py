"""Who belongs to what from now on, and telling of it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import bindparam, delete, select, update

from martech.modules.personalization.contract import SegmentChange, SegmentChanged
from martech.modules.personalization.domain.behaviour import EPOCH, values
from martech.modules.personalization.domain.catalog import Catalog
from martech.modules.personalization.domain.commands import Expire
from martech.modules.personalization.domain.people import (
    Person,
    inside_stored,
    swept,
    tallies_stored,
)
from martech.modules.personalization.domain.reckoning import (
    concerned,
    counted,
    countings,
    put,
    settlings,
)
from martech.modules.personalization.service.rows import Register, Rows, Segments
from martech.modules.personalization.tables import members, people, segments


class Judging(Rows):
    async def _judge(self, some: Sequence[Person], all_: Segments, register: Register) -> None:
        """Bring *some* up to date, in what they belong to and in their rows."""
        for person in some:
            swept(person, all_.catalog)
        await self._reckon(some, all_.catalog, register.now)
        changes = await self._changes(some, all_)
        await self._keep(some)
        await self._change(changes, register)

    async def _reckon(self, some: Sequence[Person], catalog: Catalog, now: int) -> None:
        """Count what is lost and settle what is stale, from the past."""
        behind = [person for person in some if person.lost or person.stale]
        if not behind:
            return
        sources = await self._sources([person.id for person in behind])
        counts = [
            (person, counting)
            for person in behind
            for counting in countings(sources[person.id], person.lost, catalog, now)
        ]
        await self._read([counting for _, counting in counts])
        for person, counting in counts:
            counted(person, counting, catalog)
        settles = [
            (person, settling)
            for person in behind
            for settling in settlings(sources[person.id], person, catalog, now)
        ]
        await self._read([settling for _, settling in settles])
        for person, settling in settles:
            put(person, settling.number, settling.done())
        for person in behind:
            person.asked |= concerned(person, catalog)
            person.changed = True

    async def _keep(self, some: Sequence[Person]) -> None:
        rows, wakes = [], []
        for person in some:
            if not person.changed:
                continue
            person.changed = False
            wake = person.waking()
            if wake is not None and (person.wake is None or wake < person.wake):
                wakes.append(wake)  # for the others there is a command already
            person.wake = wake
            rows.append(
                {
                    "tenant": self.tx.tenant,
                    "id": person.id,
                    "kept": person.kept,
                    "known": person.known,
                    "traits": person.traits,
                    "tallies": tallies_stored(person),
                    "inside": inside_stored(person),
                    "wake": wake,
                }
            )
        update_also = ["kept", "known", "traits", "tallies", "inside", "wake"]
        await self.tx.upsert(people, rows, keys=["tenant", "id"], update=update_also)
        if wakes:
            self._wake_at(min(wakes))

    def _wake_at(self, moment: int) -> None:
        at = EPOCH + timedelta(microseconds=moment)
        self.tx.enqueue(Expire(), at=at, key=Expire().key)

    async def _changes(self, some: Sequence[Person], all_: Segments) -> list[SegmentChange]:
        """Who leaves because they are somebody else now; then who comes and goes."""
        gone = [person.id for person in some if person.gone and not person.new]
        changes = [
            self._told(segment_id, profile_id, "exited", all_.standing[segment_id].version)
            for profile_id, mine in (await self._held(gone)).items()
            for segment_id in sorted(mine)
        ]
        for person in some:
            if person.asked:
                changes += self._verdicts(person, all_)
        return changes

    def _verdicts(self, person: Person, all_: Segments) -> list[SegmentChange]:
        changes = []
        traits = values(person.traits)
        for number in sorted(person.asked):
            segment = all_.catalog.segments[number]
            if not all_.standing[segment.id].judges(person.id):
                continue
            belongs = segment.match(traits, person.tallies)
            if belongs == (number in person.inside):
                continue
            person.changed = True
            if belongs:
                person.inside.add(number)
                changes.append(self._told(segment.id, person.id, "entered", segment.version))
            else:
                person.inside.remove(number)
                changes.append(self._told(segment.id, person.id, "exited", segment.version))
        return changes

    def _told(
        self, segment_id: UUID, profile_id: UUID, change: Literal["entered", "exited"], version: int
    ) -> SegmentChange:
        return SegmentChange(
            segment_id=segment_id,
            profile_id=profile_id,
            change=change,
            version=version,
            at=self.tx.now,
        )

    async def _held(self, ids: Sequence[UUID]) -> dict[UUID, set[UUID]]:
        """To which segments each belongs."""
        held: dict[UUID, set[UUID]] = {}
        mine = select(members.c.profile_id, members.c.segment_id).where(*self._mine(members))
        for row in await self.tx.among(mine, members.c.profile_id, sorted(ids)):
            held.setdefault(row.profile_id, set()).add(row.segment_id)
        return held

    async def _change(self, changes: list[SegmentChange], register: Register) -> None:
        """Write down who came and went, in the sizes too, and tell of it."""
        came = [
            {
                "tenant": self.tx.tenant,
                "segment_id": change.segment_id,
                "profile_id": change.profile_id,
                "since": change.at,
                "turn": register.turn,
            }
            for change in changes
            if change.change == "entered"
        ]
        await self.tx.insert(members, came)
        left = [
            {"its_segment": change.segment_id, "its_member": change.profile_id}
            for change in changes
            if change.change == "exited"
        ]
        if left:
            one = delete(members).where(
                *self._mine(members),
                members.c.segment_id == bindparam("its_segment"),
                members.c.profile_id == bindparam("its_member"),
            )
            await self.tx.execute(one, left)
        await self._resize(changes)
        self.tx.publish(SegmentChanged(items=changes))

    async def _resize(self, changes: Sequence[SegmentChange]) -> None:
        growth: dict[UUID, int] = {}
        for change in changes:
            step = 1 if change.change == "entered" else -1
            growth[change.segment_id] = growth.get(change.segment_id, 0) + step
        rows = [{"its_id": id_, "by": by} for id_, by in sorted(growth.items()) if by]
        if rows:
            one = update(segments).where(
                *self._mine(segments), segments.c.id == bindparam("its_id")
            )
            await self.tx.execute(one.values(size=segments.c.size + bindparam("by")), rows)
