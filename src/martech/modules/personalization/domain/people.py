"""One person as segments see them, and what one batch of news does to them."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import msgspec

from martech.modules.personalization.domain.behaviour import LONGEST_VALUE, Done, values
from martech.modules.personalization.domain.catalog import Catalog, Measured
from martech.modules.personalization.domain.conditions import LONGEST_NAME
from martech.modules.personalization.domain.tallies import (
    Tally,
    add,
    is_true,
    passed,
    trust,
)
from martech.modules.profiles.contract import MOST_TRAITS

NOBODY: Final = b"{}"
NOWHERE: Final = b"[]"
_NULL = msgspec.Raw(b"null")
_OBJECT = msgspec.Raw(b"{}")

_traits = msgspec.json.Decoder(dict[str, msgspec.Raw])
_tallies = msgspec.json.Decoder(dict[int, Tally])
_numbers = msgspec.json.Decoder(set[int])
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Person:
    id: UUID
    known: int
    """The last measure that their past was counted for; of a higher number nothing is known."""

    kept: UUID | None = None
    """Who answers for them since a merge."""

    traits: bytes = NOBODY
    tallies: dict[int, Tally] = field(default_factory=dict)
    wake: int | None = None
    """When time alone may change what they belong to; None for never."""

    new: bool = False
    changed: bool = False
    gone: bool = False
    """Merged into somebody else just now."""

    inside: set[int] = field(default_factory=set)
    """The numbers of the segments to which they belong."""

    asked: set[int] = field(default_factory=set)
    """The segments that what happened concerns."""

    stale: dict[int, int] = field(default_factory=dict)
    """Measures to be settled with the past in hand before anything is judged by them, and how many
    steps of each were passed when it was last judged."""

    lost: set[int] = field(default_factory=set)
    """Measures to be counted from the past."""

    def waking(self) -> int | None:
        wake = None
        for tally in self.tallies.values():
            until = tally.until
            if until is not None and (wake is None or until < wake):
                wake = until
        return wake


def tallies_of(stored: bytes) -> dict[int, Tally]:
    return {} if stored == NOBODY else _tallies.decode(stored)


def tallies_stored(person: Person) -> bytes:
    return _encode(person.tallies) if person.tallies else NOBODY


def numbers_of(stored: bytes) -> set[int]:
    return set() if stored == NOWHERE else _numbers.decode(stored)


def inside_stored(person: Person) -> bytes:
    return _encode(sorted(person.inside)) if person.inside else NOWHERE


def with_traits(before: bytes, changes: Mapping[str, msgspec.Raw]) -> bytes:
    """*before* with *changes*, where null means that a trait is gone. Of an object, and of what is
    too long, it is only kept that it exists."""
    traits = _traits.decode(before)
    for name, value in changes.items():
        if value == _NULL:
            traits.pop(name, None)
        elif len(name) <= LONGEST_NAME and (name in traits or len(traits) < MOST_TRAITS):
            view = memoryview(value)
            whole = len(view) <= LONGEST_VALUE and view[0] != b"{"[0]
            traits[name] = value if whole else _OBJECT
    return _encode(traits)


class Following:
    """The news of one batch, taken in order."""

    def __init__(self, catalog: Catalog, people: dict[UUID, Person], known: int, now: int) -> None:
        """*people* are all that the news is about, as they are on record, with those who answer
        for them; who is missing is new. *known* is the last measure that there is."""
        self.people = people
        self.merged: list[Person] = []
        self._catalog = catalog
        self._known = known
        self._now = now

    def met(self, profile_id: UUID) -> None:
        """There is somebody."""
        self._find(profile_id)

    def acted(self, done: Done) -> None:
        """Something was done that was not heard of before."""
        concerned = self._catalog.by_event.get(done.event)
        if concerned is None:
            return
        person = self._root(done.profile_id)
        known, lost, at = person.known, person.lost, done.at
        properties: Mapping[str, object] | None = None
        for measured in concerned:
            number = measured.number
            if number > known or number in lost:
                continue
            amount = 1
            if not measured.plain:
                if properties is None:
                    properties = values(done.properties)
                amount = measured.amount(properties)
            if amount == 0:
                continue
            person.changed = True
            if measured.within is None:
                self._add(person, measured, amount)
            else:
                self._add_within(person, measured, at, amount)

    def changed(self, profile_id: UUID, traits: Mapping[str, msgspec.Raw]) -> None:
        """Traits of somebody who was merged are old news: what is left of them was told again."""
        person = self._find(profile_id)
        if person.kept is not None or not traits:
            return
        person.traits = with_traits(person.traits, traits)
        person.changed = True
        for name in traits.keys() & self._catalog.by_trait.keys():
            person.asked |= self._catalog.by_trait[name]

    def merges(self, kept: UUID, merged: UUID) -> None:
        """What was *merged*'s is *kept*'s."""
        stays, goes = self._root(kept), self._root(merged)
        if stays is goes:
            return
        self._join(stays, goes)
        stays.asked |= self._catalog.segments.keys()
        stays.lost |= goes.lost
        stays.changed = goes.changed = goes.gone = True
        goes.kept, goes.traits, goes.tallies, goes.wake = stays.id, NOBODY, {}, None
        goes.asked, goes.stale, goes.lost, goes.inside = set(), {}, set(), set()
        self.merged.append(goes)

    def finished(self) -> Sequence[Person]:
        """Everybody who is not as before, with what time alone has brought about them."""
        for gone in self.merged:
            gone.kept = self._root(gone.id).id
        for person in self.people.values():
            due(person, self._catalog, self._now)
        return [p for p in self.people.values() if p.changed or p.asked or p.stale or p.lost]

    def _add(self, person: Person, measured: Measured, amount: int) -> None:
        tally = person.tallies.get(measured.number)
        if tally is None:
            tally = person.tallies[measured.number] = Tally()
        before = bisect_right(measured.steps, tally.total)
        tally.total += amount
        after = bisect_right(measured.steps, tally.total)
        if before != after:
            person.asked.update(*measured.between(before, after))

    def _add_within(self, person: Person, measured: Measured, at: int, amount: int) -> None:
        number, within, steps = measured.number, measured.within or 0, measured.steps
        tally = person.tallies.get(number)
        if tally is None:
            since = self._now - within
            if at <= since:
                return
            tally = person.tallies[number] = Tally(since=since)
        before = bisect_right(steps, tally.total)
        add(tally, at, amount)
        after = bisect_right(steps, tally.total)
        if before == after and not tally.negatives:
            return
        if number in person.stale or not is_true(tally, within, self._now):
            person.stale.setdefault(number, before)
        else:
            trust(tally, within, steps)
            person.asked.update(*measured.between(before, after))

    def _join(self, stays: Person, goes: Person) -> None:
        low, high = sorted([stays.known, goes.known])
        for number, measured in self._catalog.measures.items():
            mine, theirs = stays.tallies.get(number), goes.tallies.get(number)
            if low < number <= high:  # only one of them was counted
                stays.lost.add(number)
            elif measured.within is not None:  # the two look back to different moments
                if mine or theirs:
                    stays.lost.add(number)
            elif theirs is not None:
                stays.tallies[number] = Tally((mine.total if mine else 0) + theirs.total)
        stays.known = high
        wakes = [wake for wake in (stays.wake, goes.wake) if wake is not None]
        stays.wake = min(wakes, default=None)

    def _find(self, profile_id: UUID) -> Person:
        person = self.people.get(profile_id)
        if person is None:
            person = Person(profile_id, self._known, new=True, changed=True)
            person.asked |= self._catalog.by_default
            self.people[profile_id] = person
        return person

    def _root(self, profile_id: UUID) -> Person:
        person = self._find(profile_id)
        while person.kept is not None:
            person = self._find(person.kept)
        return person


def due(person: Person, catalog: Catalog, now: int) -> None:
    """Mark what time alone may have changed by *now*."""
    if person.wake is None or person.wake > now:
        return
    person.changed = True
    for number, tally in person.tallies.items():
        if tally.until is not None and tally.until <= now:
            stale(person, number, catalog)


def stale(person: Person, number: int, catalog: Catalog) -> None:
    """Have a measure settled."""
    measured, tally = catalog.measures.get(number), person.tallies.get(number)
    if measured is not None and measured.within is not None and tally is not None:
        person.stale.setdefault(number, passed(measured.steps, tally.total))


def swept(person: Person, catalog: Catalog) -> None:
    """Forget measures that no segment asks for any more, and segments that are no more."""
    if not person.tallies.keys() <= catalog.measures.keys():
        known = catalog.measures
        person.tallies = {n: tally for n, tally in person.tallies.items() if n in known}
        person.changed = True
    if not person.inside <= catalog.segments.keys():
        person.inside &= catalog.segments.keys()
        person.changed = True
