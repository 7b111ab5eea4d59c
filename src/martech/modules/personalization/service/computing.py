"""What time and new conditions bring about, a page of people at a time."""

from sqlalchemy import delete, func, select, update

from martech.modules.personalization.contract import SegmentChange
from martech.modules.personalization.domain.catalog import Catalog
from martech.modules.personalization.domain.commands import Expire, Recompute
from martech.modules.personalization.domain.people import Person, due, stale
from martech.modules.personalization.service.judging import Judging
from martech.modules.personalization.service.rows import Register, Segments, Standing
from martech.modules.personalization.tables import members, people, segments

PAGE = 250  # people
PAUSE = 1_000_000
"""Microseconds between two looks at whose time has come: those of one second go together."""


class Computing(Judging):
    async def recompute(self, command: Recompute) -> None:
        """Look at the next page of people. Those who come meanwhile are looked at as they come if
        the pages are past them already, and in their turn if not: nobody is missed."""
        register = await self._alone()
        all_ = await self._segments()
        standing = all_.standing.get(command.segment_id)
        if standing is None or (standing.ready and not standing.deleted):
            return
        if standing.deleted:
            await self._let_go(command, standing, register)
        else:
            await self._look_on(command, all_, register)

    async def expire(self, _: Expire) -> None:
        """Judge the next page of those whose time has come, and come back when the next one's
        has. Late or twice makes no difference: what is due stands in the rows."""
        register = await self._alone()
        all_ = await self._segments()
        waking = select(people.c.id).where(*self._mine(people), people.c.wake <= register.now)
        rows = await self.tx.execute(waking.order_by(people.c.wake).limit(PAGE))
        found = list((await self._people([row.id for row in rows])).values())
        for person in found:
            due(person, all_.catalog, register.now)
        await self._judge(found, all_, register)
        soonest = select(func.min(people.c.wake)).where(*self._mine(people))
        moment = (await self.tx.execute(soonest)).scalar_one_or_none()
        if moment is not None:
            full = len(found) == PAGE
            self._wake_at(moment if full else max(moment, register.now + PAUSE))

    async def _look_on(self, command: Recompute, all_: Segments, register: Register) -> None:
        segment_id, standing = command.segment_id, all_.standing[command.segment_id]
        page = select(people.c.id).where(*self._mine(people), people.c.kept.is_(None))
        if standing.looked_to is not None:
            page = page.where(people.c.id > standing.looked_to)
        rows = await self.tx.execute(page.order_by(people.c.id).limit(PAGE))
        ids = [row.id for row in rows]
        found = await self._people(ids)
        for person in found.values():
            self._look_at(person, standing.number, all_.catalog, register)
        ready = len(ids) < PAGE
        place = ids[-1] if ids else standing.looked_to
        here = all_.judged(segment_id, place, ready=ready)
        await self._judge(list(found.values()), here, register)
        mine = update(segments).where(*self._mine(segments), segments.c.id == segment_id)
        looked_at = segments.c.looked_at + len(ids)
        await self.tx.execute(mine.values(ready=ready, looked_to=place, looked_at=looked_at))
        if not ready:
            self.tx.enqueue(command, key=command.key)

    def _look_at(self, person: Person, number: int, catalog: Catalog, register: Register) -> None:
        """What was never counted of somebody is; and their windows learn the new bounds."""
        due(person, catalog, register.now)
        person.asked.add(number)
        person.lost |= {n for n in catalog.measures if n > person.known}
        for window in catalog.segments[number].windows:
            stale(person, window, catalog)
        if person.known != register.measures:
            person.known, person.changed = register.measures, True

    async def _let_go(self, command: Recompute, standing: Standing, register: Register) -> None:
        """The next page of a deleted segment's members leaves; with the last, the segment."""
        segment_id = command.segment_id
        page = select(members.c.profile_id).where(
            *self._mine(members), members.c.segment_id == segment_id
        )
        rows = await self.tx.execute(page.order_by(members.c.profile_id).limit(PAGE))
        left = [
            SegmentChange(
                segment_id=segment_id,
                profile_id=row.profile_id,
                change="exited",
                version=standing.version,
                at=self.tx.now,
            )
            for row in rows
        ]
        await self._change(left, register)
        if len(left) == PAGE:
            self.tx.enqueue(command, key=command.key)
            return
        mine = delete(segments).where(*self._mine(segments), segments.c.id == segment_id)
        await self.tx.execute(mine)
