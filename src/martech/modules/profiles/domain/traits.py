"""What is known of people: per trait the last write by event time, of so many traits.

Of a person 1,000 names of traits are kept, and 256 KB of names and values: any page may send more
without end, and whoever writes one more trait reads and writes them all. Names stand in an order of
their own (`_rank`), and the first that is too much ends what is kept, whoever came first: of two
halves nobody can tell any more what each has passed over, and order must make no difference. A
removed trait counts, and each for the longest value it ever had. So whatever is heard moves the end
forward only, and what is within it now was within it always.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from martech.modules.profiles.contract import MOST_TRAITS, Identity, ProfileChange
from martech.modules.profiles.domain.identity import Person, Plan
from martech.modules.profiles.domain.reading import NULL, Said, moment
from martech.modules.tracking.contract import TrackedEvent

MOST_BYTES: Final = 256 * 1024

Traits = dict[str, "Written"]


class Written(msgspec.Struct, frozen=True, array_like=True):
    """The value of a trait, when it was true, and the message that said so."""

    at: datetime
    by: str
    value: msgspec.Raw
    longest: int = 0
    """Bytes of the longest value there was before, if that was longer than this one."""

    late: int = 0
    """Microseconds from when it was true to when it came in."""


def newer(one: Written, other: Written) -> Written:
    """The one that holds: of two of one moment the last to come in. The value itself is only
    asked if a message contradicts itself."""
    holds = max(one, other, key=lambda w: (w.at, w.late, w.by, bytes(w.value)))
    return _of_length(holds, max(_length(one), _length(other)))


def joined(one: Traits, other: Traits) -> Traits:
    """Associative, commutative and idempotent."""
    both = {key: newer(one[key], other[key]) for key in one.keys() & other.keys()}
    return within({**one, **other, **both})


def within(traits: Traits) -> Traits:
    """As many as are kept. The first that is too much stays as a removed one: it marks the end."""
    if len(traits) <= MOST_TRAITS and sum(map(_size, traits, traits.values())) <= MOST_BYTES:
        return traits
    kept: Traits = {}
    room = MOST_BYTES
    for name in sorted(traits, key=_rank):
        written = traits[name]
        room -= _size(name, written)
        if room < 0 or len(kept) == MOST_TRAITS:
            kept[name] = _of_length(msgspec.structs.replace(written, value=NULL), _length(written))
            break
        kept[name] = written
    return kept


def _rank(name: str) -> tuple[bool, int, str]:
    """The address first, which everything hangs on; then what is short: a name that a program made
    up is longer than one that somebody chose."""
    return name != "email", len(name), name


def _size(name: str, written: Written) -> int:
    return len(name.encode()) + _length(written)


def _length(written: Written) -> int:
    return max(len(memoryview(written.value)), written.longest)


def _of_length(written: Written, length: int) -> Written:
    """*written*, with *length* as the longest so far."""
    longest = length if length > len(memoryview(written.value)) else 0
    if longest == written.longest:
        return written
    return msgspec.structs.replace(written, longest=longest)


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
            late = (item.received_at - at) // timedelta(microseconds=1)
            new = {k: Written(at, by, v, late=late) for k, v in spoken.traits.items()}
            write(person.root(), new)
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
    """What a neighbour must hear to follow; null for what is gone. That comes first: who keeps no
    more than so many has room then for what is new."""
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
