"""What people allow: facts by channel, of which the last holds."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from martech.modules.profiles.contract import Status
from martech.modules.profiles.domain.identity import Person, Plan
from martech.modules.profiles.domain.reading import EMAIL, MOST_CHANNELS, Key, Said, moment
from martech.modules.tracking.contract import TrackedEvent


class Fact(NamedTuple):
    channel: str
    status: Status
    at: datetime
    source: str


def holding(facts: Iterable[Fact]) -> dict[str, Fact]:
    """By channel, the fact that holds. The order in which they were recorded does not matter."""
    last: dict[str, Fact] = {}
    for fact in sorted(facts, key=lambda f: (f.at, f.status == "denied", f.source)):
        last[fact.channel] = fact
    return last


def differing(before: Iterable[Fact], after: Iterable[Fact]) -> list[Fact]:
    """The facts by which something else holds than before, or since another moment: whoever says
    the same again may take back what others have heard of them meanwhile."""
    held = holding(before)
    return [
        fact
        for channel, fact in holding(after).items()
        if channel not in held or (held[channel].status, held[channel].at) != (fact.status, fact.at)
    ]


def facts(
    plan: Plan, items: Sequence[TrackedEvent], said: Mapping[int, Said]
) -> list[tuple[Key, Person, Fact]]:
    """What the items say of consent: by which name, and whose that was."""
    return [
        (*plan.came[number], Fact(channel, status, moment(items[number]), source))
        for number, spoken in said.items()
        for source in [f"tracking {items[number].message_id}"]
        for channel, status in spoken.consents.items()
    ]


def bounded(
    new: Sequence[tuple[Key, Person, Fact]], spoken: Mapping[Key, set[str]]
) -> list[tuple[Key, Person, Fact]]:
    """Those of *new* that are kept: of one name, no more channels than `MOST_CHANNELS`, the first
    to come, and e-mail. *spoken* are those of which each name has spoken before."""
    kept, channels = [], {key: set(before) for key, before in spoken.items()}
    for key, person, fact in new:
        mine = channels.setdefault(key, set())
        if fact.channel in mine or fact.channel == EMAIL or len(mine) < MOST_CHANNELS:
            mine.add(fact.channel)
            kept.append((key, person, fact))
    return kept


def consent_changes(
    plan: Plan, held: Mapping[UUID, Sequence[Fact]], new: Sequence[tuple[Key, Person, Fact]]
) -> list[tuple[UUID, Fact]]:
    """For everybody whom a new fact or a merge concerns, what holds from now on."""
    after: dict[UUID, list[Fact]] = {}
    for person in [person for pair in plan.merges for person in pair]:
        after.setdefault(person.root().id, []).extend(held.get(person.id, ()))
    for _, person, fact in new:
        number = person.root().id
        after.setdefault(number, list(held.get(number, ()))).append(fact)
    return [
        (number, fact)
        for number, theirs in after.items()
        for fact in differing(held.get(number, ()), theirs)
    ]
