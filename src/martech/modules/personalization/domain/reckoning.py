"""Going through somebody's past, a page at a time, wherever the running numbers do not suffice.

A person's past lies under every profile id they ever had. Each is a *source*, read in order of
time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from martech.modules.personalization.domain.behaviour import values
from martech.modules.personalization.domain.catalog import Catalog, Measured
from martech.modules.personalization.domain.people import Person, stale
from martech.modules.personalization.domain.tallies import (
    Ahead,
    Contribution,
    Tally,
    add,
    drop,
    passed,
    settled,
)

BEGINNING: Final = -(2**62)
LAST: Final = b"\xff" * 17
"""Behind every digest: with it, a place is behind everything of its moment."""


class Place(NamedTuple):
    """Behind which to read on."""

    at: int
    digest: bytes


class Past(NamedTuple):
    at: int
    digest: bytes
    properties: bytes


class Reading(Protocol):
    """Somebody's past of one event, being read."""

    event: str
    places: dict[UUID, Place]
    """How far each source was read; one that is not there any more needs no more reading."""

    def take(self, source: UUID, rows: Sequence[Past], *, more: bool) -> None:
        """The next rows of a source, and whether there are more behind them."""
        ...


class Counting:
    """Counts measures of one event from nothing."""

    def __init__(
        self, event: str, sources: Sequence[UUID], measures: Sequence[Measured], now: int
    ) -> None:
        self.event = event
        self._measures = measures
        self.tallies = {
            m.number: Tally(since=None if m.within is None else now - m.within) for m in measures
        }
        begins = [BEGINNING if t.since is None else t.since for t in self.tallies.values()]
        self.places = {source: Place(min(begins), LAST) for source in sources}

    def take(self, source: UUID, rows: Sequence[Past], *, more: bool) -> None:
        for at, _, properties in rows:
            members = values(properties)
            for measured in self._measures:
                self._add(measured, at, members)
        if not more:
            del self.places[source]
        else:
            self.places[source] = Place(rows[-1].at, rows[-1].digest)

    def _add(self, measured: Measured, at: int, members: Mapping[str, object]) -> None:
        tally = self.tallies[measured.number]
        if amount := measured.amount(members):
            add(tally, at, amount)


class Settling:
    """Takes what fell out of a window out of its tally, and looks a page ahead."""

    def __init__(
        self, sources: Sequence[UUID], measured: Measured, within: int, tally: Tally, now: int
    ) -> None:
        self.event = measured.event
        self.number = measured.number
        self._measured = measured
        self._within = within
        self._tally = tally
        before = now if tally.since is None else tally.since
        self._since = max(before, now - within)
        self._ahead: list[Contribution] = []
        self._end: int | None = None
        self.places = {source: Place(before, LAST) for source in sources}

    def take(self, source: UUID, rows: Sequence[Past], *, more: bool) -> None:
        amount = self._measured.amount
        plain = self._measured.plain
        given = [
            Contribution(at, 1 if plain else amount(values(properties)))
            for at, _, properties in rows
        ]
        drop(self._tally, [one for one in given if one.at <= self._since])
        self._ahead += [one for one in given if one.at > self._since and one.amount]
        if not more:
            del self.places[source]
        elif (last := rows[-1]).at <= self._since:
            self.places[source] = Place(last.at, last.digest)
        else:
            self._end = last.at if self._end is None else min(self._end, last.at)
            del self.places[source]

    def done(self) -> Tally | None:
        """None when there is nothing in the window."""
        ahead = Ahead(sorted(self._ahead), self._end)
        tally = settled(self._tally, self._since, self._within, ahead, self._measured.steps)
        return tally if tally.total or tally.negatives else None


def countings(
    sources: Sequence[UUID], numbers: Iterable[int], catalog: Catalog, now: int
) -> Iterator[Counting]:
    """What it takes to count *numbers*, each event read once."""
    lost = sorted((catalog.measures[n] for n in numbers), key=lambda m: (m.event, m.number))
    for event, measures in groupby(lost, key=lambda m: m.event):
        yield Counting(event, sources, list(measures), now)


def settlings(
    sources: Sequence[UUID], person: Person, catalog: Catalog, now: int
) -> Iterator[Settling]:
    for number in sorted(person.stale & person.tallies.keys()):
        measured = catalog.measures[number]
        if measured.within is not None:
            yield Settling(sources, measured, measured.within, person.tallies[number], now)


def counted(person: Person, counting: Counting, catalog: Catalog) -> None:
    """What was counted anew holds; a window is still to be settled: it must know until when."""
    for number, tally in counting.tallies.items():
        put(person, number, tally if tally.total or tally.negatives else None)
        stale(person, number, catalog)


def concerned(person: Person, catalog: Catalog) -> set[int]:
    """The segments that what was read may concern."""
    segments = set[int]()
    for number, before in person.stale.items():
        measured = catalog.measures[number]
        tally = person.tallies.get(number)
        after = passed(measured.steps, tally.total if tally else 0)
        segments.update(*measured.between(before, after))
    for number in person.lost:
        segments.update(*catalog.measures[number].asking)
    return segments


def put(person: Person, number: int, tally: Tally | None) -> None:
    """None is nothing, and nothing needs no place."""
    if tally is None:
        person.tallies.pop(number, None)
    else:
        person.tallies[number] = tally
