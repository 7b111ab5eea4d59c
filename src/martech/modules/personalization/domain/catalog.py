"""All segments of a tenant, made ready: who asks for what, and at which numbers answers change."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from martech.modules.personalization.domain.behaviour import Amount, amount_of
from martech.modules.personalization.domain.conditions import (
    Asked,
    Behaviour,
    Condition,
    Junction,
    Measure,
    Negation,
    leaves,
    parsed,
)
from martech.modules.personalization.domain.tallies import Tally
from martech.modules.personalization.domain.values import MISSING, test_of

Traits = Mapping[str, object]
Tallies = Mapping[int, Tally]
Match = Callable[[Traits, Tallies], bool]

NOTHING = Tally()


class Defined(NamedTuple):
    """A segment as it is stored, as far as deciding goes."""

    number: int
    id: UUID
    version: int
    condition: bytes


class Measured(NamedTuple):
    """A measure that is kept of everybody, under its number."""

    number: int
    event: str
    within: int | None
    amount: Amount
    plain: bool
    """Whether the event alone says what it adds: properties need not be read."""

    steps: tuple[int, ...]
    """The totals at which some segment's answer may change, ascending."""

    asking: tuple[frozenset[int], ...]
    """For each step the numbers of the segments to which it matters."""

    def between(self, before: int, after: int) -> Iterator[frozenset[int]]:
        """Those to which it matters that no longer *before* but *after* steps are passed."""
        low, high = sorted([before, after])
        return iter(self.asking[low:high])


class Ready(NamedTuple):
    """A segment made ready."""

    number: int
    id: UUID
    version: int
    match: Match
    windows: frozenset[int]
    """Its measures that look back for a limited time."""

    by_default: bool
    """Whether somebody of whom nothing is known belongs to it."""


class Catalog(NamedTuple):
    segments: Mapping[int, Ready]
    measures: Mapping[int, Measured]
    by_event: Mapping[str, tuple[Measured, ...]]
    by_trait: Mapping[str, frozenset[int]]
    by_default: frozenset[int]
    """Those to which belongs of whom nothing is known."""


@lru_cache(maxsize=64)
def catalog(segments: tuple[Defined, ...], numbers: tuple[tuple[bytes, int], ...]) -> Catalog:
    """*numbers* are those of the measures, by definition."""
    return made({segment: parsed(segment.condition) for segment in segments}, dict(numbers))


def made(segments: Mapping[Defined, Condition], numbered: Mapping[bytes, int]) -> Catalog:
    """The same, and nothing of it is kept: what is only asked about fills no memory."""
    conditions = {segment.number: condition for segment, condition in segments.items()}
    measures = _measures(conditions, numbered)
    by_event: dict[str, list[Measured]] = {}
    for measured in measures.values():
        by_event.setdefault(measured.event, []).append(measured)
    by_trait: dict[str, set[int]] = {}
    for number, condition in conditions.items():
        for leaf in leaves(condition):
            if isinstance(leaf, Asked):
                by_trait.setdefault(leaf.name, set()).add(number)
    ready = {s.number: _ready(s, conditions[s.number], numbered) for s in segments}
    return Catalog(
        ready,
        measures,
        {event: tuple(some) for event, some in by_event.items()},
        {trait: frozenset(some) for trait, some in by_trait.items()},
        frozenset(s.number for s in ready.values() if s.by_default),
    )


def definitions(condition: Condition) -> dict[bytes, Measure]:
    """The measures that *condition* asks for."""
    behaviours = [leaf for leaf in leaves(condition) if isinstance(leaf, Behaviour)]
    return {leaf.measure.definition: leaf.measure for leaf in behaviours}


def _measures(
    conditions: Mapping[int, Condition], numbers: Mapping[bytes, int]
) -> dict[int, Measured]:
    asked: dict[bytes, list[tuple[int, Behaviour]]] = {}
    for segment, condition in conditions.items():
        for leaf in leaves(condition):
            if isinstance(leaf, Behaviour):
                asked.setdefault(leaf.measure.definition, []).append((segment, leaf))
    return {numbers[key]: _measured(numbers[key], some) for key, some in asked.items()}


def _measured(number: int, asked: Sequence[tuple[int, Behaviour]]) -> Measured:
    measure = asked[0][1].measure
    asking: dict[int, set[int]] = {}
    for segment, leaf in asked:
        for step in (leaf.low, leaf.high):
            if step is not None:
                asking.setdefault(step, set()).add(segment)
    return Measured(
        number,
        measure.event,
        measure.within,
        amount_of(measure),
        measure.sum is None and not measure.where,
        tuple(sorted(asking)),
        tuple(frozenset(asking[step]) for step in sorted(asking)),
    )


def _ready(segment: Defined, condition: Condition, numbers: Mapping[bytes, int]) -> Ready:
    match = compiled(condition, numbers)
    asked = definitions(condition).items()
    windows = frozenset(numbers[key] for key, measure in asked if measure.within is not None)
    return Ready(segment.number, segment.id, segment.version, match, windows, match({}, {}))


def compiled(condition: Condition, numbers: Mapping[bytes, int]) -> Match:
    match condition:
        case Junction(every=every, parts=parts):
            return _junction(every, [compiled(part, numbers) for part in parts])
        case Negation(part=part):
            inner = compiled(part, numbers)
            return lambda traits, tallies: not inner(traits, tallies)
        case Asked(name=name):
            test = test_of(condition.is_, condition.value)
            return lambda traits, _: test(traits.get(name, MISSING))
        case Behaviour():
            return _bounds(numbers[condition.measure.definition], condition.low, condition.high)


def _junction(every: bool, parts: Sequence[Match]) -> Match:
    def match(traits: Traits, tallies: Tallies) -> bool:
        return all(part(traits, tallies) for part in parts)

    def match_any(traits: Traits, tallies: Tallies) -> bool:
        return any(part(traits, tallies) for part in parts)

    return match if every else match_any


def _bounds(number: int, low: int | None, high: int | None) -> Match:
    def match(_: Traits, tallies: Tallies) -> bool:
        total = tallies.get(number, NOTHING).total
        return (low is None or total >= low) and (high is None or total < high)

    return match
