"""The rows that several use cases read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, case, or_, select, union_all, update
from sqlalchemy import literal as value

from martech.kernel.db import Transaction
from martech.modules.personalization.domain.behaviour import instant
from martech.modules.personalization.domain.catalog import Catalog, Defined, catalog
from martech.modules.personalization.domain.people import Person, numbers_of, tallies_of
from martech.modules.personalization.domain.reckoning import Past, Place, Reading
from martech.modules.personalization.tables import (
    behaviour,
    measures,
    people,
    registers,
    segments,
)

T = TypeVar("T")

TOGETHER = 64  # sources whose past is read in one statement
MUCH = 8_000  # rows; who did more is read by pages
PAGE = 256  # rows of one source
BRANCHES = 50  # SELECTs in one UNION
STANDING = tuple(
    segments.c[name]
    for name in ("number", "id", "version", "condition", "ready", "looked_to", "deleted")
)


class Stored(NamedTuple):
    """A person's row."""

    id: UUID
    kept: UUID | None
    known: int
    traits: bytes
    tallies: bytes
    inside: bytes
    wake: int | None


PERSON = tuple(people.c[name] for name in Stored._fields)


class Register(NamedTuple):
    """What holds for a tenant while this transaction has it for itself."""

    now: int
    turn: int
    """Greater than that of whoever wrote before: the order of commits, which times are not."""

    segments: int
    measures: int


class Standing(NamedTuple):
    """How far a segment was computed."""

    number: int
    version: int
    ready: bool
    looked_to: UUID | None
    deleted: bool

    def judges(self, profile_id: UUID) -> bool:
        """Whether changes concern this segment; everybody else is still to be looked at."""
        if self.deleted:
            return False
        return self.ready or (self.looked_to is not None and profile_id <= self.looked_to)


class Segments(NamedTuple):
    catalog: Catalog
    standing: Mapping[UUID, Standing]

    def judged(self, segment_id: UUID, to: UUID | None, *, ready: bool) -> "Segments":
        """With one of them computed as far as *to*."""
        there = self.standing[segment_id]._replace(looked_to=to, ready=ready)
        return Segments(self.catalog, {**self.standing, segment_id: there})


class Rows:
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    def _mine(self, table: Table) -> tuple[ColumnElement[bool]]:
        return (table.c.tenant == self.tx.tenant,)

    async def _alone(self) -> Register:
        """Until the commit nobody else changes this tenant's segments and people: everything that
        writes begins with this. The time it gives never goes back."""
        now = instant(self.tx.now)
        clock = case((registers.c.clock < now, now), else_=registers.c.clock)
        mine = update(registers).where(*self._mine(registers))
        next_ = mine.values(clock=clock, turn=registers.c.turn + 1)
        given = registers.c.turn, registers.c.segments, registers.c.measures
        turn = next_.returning(registers.c.clock, *given)
        row = (await self.tx.execute(turn)).one_or_none()
        if row is None:
            none = dict.fromkeys(("turn", "segments", "measures", "people"), 0)
            first = {"tenant": self.tx.tenant, "clock": now, **none}
            await self.tx.insert_new(registers, [first], returning=["tenant"])
            row = (await self.tx.execute(turn)).one()
        return Register(row.clock, row.turn, row.segments, row.measures)

    async def _segments(self) -> Segments:
        """All of them, made ready."""
        mine = select(*STANDING).where(*self._mine(segments)).order_by(segments.c.number)
        rows = (await self.tx.execute(mine)).all()
        numbers: list[tuple[bytes, int]] = []
        if rows:
            numbered = select(measures.c.definition, measures.c.number)
            found = await self.tx.execute(
                numbered.where(*self._mine(measures)).order_by(measures.c.number)
            )
            numbers = [(row.definition, row.number) for row in found]
        defined = tuple(
            Defined(r.number, r.id, r.version, r.condition) for r in rows if not r.deleted
        )
        return Segments(
            catalog(defined, tuple(numbers)),
            {r.id: Standing(r.number, r.version, r.ready, r.looked_to, r.deleted) for r in rows},
        )

    async def _people(self, ids: Iterable[UUID]) -> dict[UUID, Person]:
        """Those of *ids* who are on record, and whoever answers for them."""
        mine = select(*PERSON).where(*self._mine(people))
        found = {
            row.id: person_of(Stored._make(row))
            for row in await self.tx.among(mine, people.c.id, sorted(ids))
        }
        others = {p.kept for p in found.values() if p.kept is not None} - found.keys()
        for row in await self.tx.among(mine, people.c.id, sorted(others)):
            found[row.id] = person_of(Stored._make(row))
        return found

    async def _sources(self, ids: Sequence[UUID]) -> dict[UUID, list[UUID]]:
        """Under which profile ids the past of each was told."""
        sources = {id_: [id_] for id_ in ids}
        mine = select(people.c.id, people.c.kept).where(*self._mine(people))
        for row in await self.tx.among(mine, people.c.kept, sorted(ids)):
            sources[row.kept].append(row.id)
        return sources

    async def _read(self, readings: Sequence[Reading], most: int | None = None) -> int:
        """Read each to its end; how many rows that were. With *most*, it may stop before the end
        once it has read as many."""
        read = 0
        events: dict[str, list[Reading]] = {}
        for reading in readings:
            events.setdefault(reading.event, []).append(reading)
        for event, some in events.items():
            read += await self._read_at_once(event, some, most)
        pending = [(r, source, place) for r in readings for source, place in r.places.items()]
        while pending and (most is None or read < most):
            for part in chunks(pending, BRANCHES):
                pages = await self._pages([(s, r.event, place) for r, s, place in part])
                for (reading, source, _), page in zip(part, pages, strict=True):
                    reading.take(source, page, more=len(page) == PAGE)
                    read += len(page)
            pending = [(r, s, r.places[s]) for r, s, _ in pending if s in r.places]
        return read

    async def _read_at_once(self, event: str, readings: Sequence[Reading], most: int | None) -> int:
        """All of an event that is to be read, of so many sources at a time that it is not too much;
        where it is, they are left to be read by pages."""
        c, read = behaviour.c, 0
        asked: dict[UUID, list[Reading]] = {}
        for reading in readings:
            for source in reading.places:
                asked.setdefault(source, []).append(reading)
        for sources in chunks(sorted(asked), TOGETHER):
            if most is not None and read >= most:
                break
            first = min(r.places[source].at for source in sources for r in asked[source])
            mine = select(c.profile_id, c.at, c.digest, c.properties).where(
                *self._mine(behaviour), c.event == event, c.at >= first
            )
            rows = await self.tx.among(mine, c.profile_id, sources, most=MUCH)
            read += len(rows)
            if len(rows) >= MUCH:
                continue
            found: dict[UUID, list[Past]] = {source: [] for source in sources}
            for row in rows:
                found[row.profile_id].append(Past(row.at, row.digest, row.properties))
            for source, past in found.items():
                past.sort()
                for reading in asked[source]:
                    place = reading.places[source]
                    reading.take(source, [one for one in past if one[:2] > place], more=False)
        return read

    async def _pages(self, places: Sequence[tuple[UUID, str, Place]]) -> list[list[Past]]:
        """The next rows of each source: each walks its index and stops."""
        c = behaviour.c
        branches = [
            select(value(number).label("branch"), c.at, c.digest, c.properties)
            .where(
                *self._mine(behaviour),
                c.profile_id == source,
                c.event == event,
                c.at >= place.at,
                or_(c.at > place.at, and_(c.at == place.at, c.digest > place.digest)),
            )
            .order_by(c.at, c.digest)
            .limit(PAGE)
            .subquery()
            for number, (source, event, place) in enumerate(places)
        ]
        pages: list[list[Past]] = [[] for _ in places]
        for row in await self.tx.execute(union_all(*(select(b) for b in branches))):
            pages[row.branch].append(Past(row.at, row.digest, row.properties))
        for page in pages:
            page.sort()
        return pages


def chunks(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]


def person_of(row: Stored) -> Person:
    return Person(
        id=row.id,
        kept=row.kept,
        known=row.known,
        traits=row.traits,
        tallies=tallies_of(row.tallies),
        inside=numbers_of(row.inside),
        wake=row.wake,
    )
