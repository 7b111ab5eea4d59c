"""What is known of people: per trait the last write by event time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from martech.modules.profiles.contract import Identity, ProfileChange
from martech.modules.profiles.domain.identity import Person, Plan
from martech.modules.profiles.domain.reading import NULL, Said, moment
from martech.modules.tracking.contract import TrackedEvent

Traits = dict[str, "Written"]


class Written(msgspec.Struct, frozen=True, array_like=True):
    """The value of a trait, when it was true, and the message that said so."""

    at: datetime
    by: str
    value: msgspec.Raw


def newer(one: Written, other: Written) -> Written:
    """The one that holds. The value itself is only asked if a message contradicts itself."""
    return max(one, other, key=lambda w: (w.at, w.by, bytes(w.value)))


def joined(one: Traits, other: Traits) -> Traits:
    """Associative, commutative and idempotent."""
    both = {key: newer(one[key], other[key]) for key in one.keys() & other.keys()}
    return {**one, **other, **both}


def traits_after(
    before: Mapping[UUID, Traits],
    plan: Plan,
    items: Sequence[TrackedEvent],
    said: Mapping[int, Said],
) -> dict[UUID, Traits]:
    """The traits of all whom a write or a merge concerns; what was merged has none of its own."""
    after: dict[UUID, Traits] = {}

    def write(person: Person, traits: Traits) -> None:
        mine = after.get(person.id)
        after[person.id] = joined(before.get(person.id, {}) if mine is None else mine, traits)

    for kept, gone in plan.merges:
        write(kept.root(), before.get(gone.id, {}))
    for number, spoken in said.items():
        if spoken.traits:
            item, (_, person) = items[number], plan.came[number]
            at, by = moment(item), item.message_id
            write(person.root(), {k: Written(at, by, v) for k, v in spoken.traits.items()})
    for _, gone in plan.merges:
        after[gone.id] = {}
    return after


def speakers(plan: Plan, said: Mapping[int, Said]) -> set[UUID]:
    """Those whose traits somebody wrote."""
    return {plan.came[number][1].root().id for number, spoken in said.items() if spoken.traits}


def shown(traits: Traits) -> dict[str, msgspec.Raw]:
    """The values that hold, without the removed ones."""
    return {key: written.value for key, written in traits.items() if written.value != NULL}


def differences(before: Traits, after: Traits) -> dict[str, msgspec.Raw]:
    """What a neighbour must hear to follow; null for what is gone."""
    was, now = shown(before), shown(after)
    return {key: now.get(key, NULL) for key in was | now if was.get(key) != now.get(key)}


def changes(
    plan: Plan, before: Mapping[UUID, Traits], after: Mapping[UUID, Traits]
) -> list[ProfileChange]:
    """What to tell: of everybody who is still a profile and has new names or other traits."""
    names: dict[UUID, list[Identity]] = {}
    for (kind, value), link in plan.links.items():
        names.setdefault(link.person.root().id, []).append(Identity(kind, value))
    values = {
        number: differences(before.get(number, {}), traits)
        for number, traits in after.items()
        if plan.people[number].into is None
    }
    return [
        ProfileChange(
            profile_id=number, traits=values.get(number, {}), identities=names.get(number, [])
        )
        for number in names | values
        if number in names or values[number]
    ]
