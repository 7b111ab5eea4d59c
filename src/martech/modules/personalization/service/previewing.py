"""Who would belong to a segment that is not there yet."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from martech.kernel.errors import Timeout
from martech.modules.personalization.contract import Preview
from martech.modules.personalization.domain import conditions
from martech.modules.personalization.domain.behaviour import instant, values
from martech.modules.personalization.domain.catalog import Catalog, Defined, definitions, made
from martech.modules.personalization.domain.people import Person
from martech.modules.personalization.domain.reckoning import counted, countings
from martech.modules.personalization.service.looking import Looking
from martech.modules.personalization.service.rows import PERSON, Stored, person_of
from martech.modules.personalization.tables import measures, people

PAGE = 50  # people
MOST_PEOPLE = 2500
MOST_ROWS = 20_000
SAMPLE = 10

UNSAVED = Defined(0, UUID(int=0), 0, b"")


class Previewing(Looking):
    async def preview(self, condition: object) -> Preview:
        """Looks at the newest people, until it has looked at `MOST_PEOPLE` or read `MOST_ROWS` of
        what they did: a request is no place to read everything. Raises `Invalid`, and `Timeout`
        when that was too much for even a page of them."""
        checked, _ = conditions.written(condition)
        plan = await self._plan(checked)
        found: list[UUID] = []
        looked_at, left, place = 0, MOST_ROWS, None
        while looked_at < MOST_PEOPLE and left > 0:
            page = await self._newest(place)
            read = await self._count_all(page, plan, left)
            left -= read
            if left <= 0:  # not all of this page was counted
                break
            found += [person.id for person in page if plan.belongs(person)]
            looked_at += len(page)
            if len(page) < PAGE:
                return Preview(
                    size=len(found), exact=True, looked_at=looked_at, sample=found[:SAMPLE]
                )
            place = page[-1].id
        if not looked_at:
            raise Timeout(
                "People did more than can be read in a request. Ask for less of the past with "
                "within, or save the segment: it is computed at once."
            )
        everybody = await self._population()
        size = round(len(found) * max(everybody, looked_at) / looked_at)
        return Preview(size=size, exact=False, looked_at=looked_at, sample=found[:SAMPLE])

    async def _plan(self, condition: conditions.Condition) -> "Plan":
        """*condition* made ready. A measure that is kept of everybody anyway has its number, the
        others are counted under numbers below zero."""
        asked = definitions(condition)
        mine = select(measures.c.definition, measures.c.number).where(*self._mine(measures))
        kept = {
            row.definition: row.number
            for row in await self.tx.execute(mine)
            if row.definition in asked and asked[row.definition].within is None
        }
        unkept = enumerate(sorted(asked.keys() - kept.keys()), 1)
        numbers = kept | {definition: -number for number, definition in unkept}
        return Plan(made({UNSAVED: condition}, numbers), instant(self.tx.now))

    async def _newest(self, before: UUID | None) -> list[Person]:
        mine = select(*PERSON).where(*self._mine(people), people.c.kept.is_(None))
        if before is not None:
            mine = mine.where(people.c.id < before)
        rows = await self.tx.execute(mine.order_by(people.c.id.desc()).limit(PAGE))
        return [person_of(Stored._make(row)) for row in rows]

    async def _count_all(self, page: Sequence[Person], plan: "Plan", most: int) -> int:
        """Count what is not kept of them; how many rows were read."""
        sources = await self._sources([person.id for person in page])
        counts = [
            (person, counting)
            for person in page
            for counting in countings(
                sources[person.id],
                [n for n in plan.catalog.measures if n < 0 or n > person.known],
                plan.catalog,
                plan.now,
            )
        ]
        read = await self._read([counting for _, counting in counts], most)
        for person, counting in counts:
            counted(person, counting, plan.catalog)
        return read


class Plan(NamedTuple):
    catalog: Catalog
    now: int

    def belongs(self, person: Person) -> bool:
        return self.catalog.segments[UNSAVED.number].match(values(person.traits), person.tallies)
