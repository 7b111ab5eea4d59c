"""Who is who, what is known of them, what they allow. Pure: what is on record and what came in
give a plan of what to change.

**Identity.** Items are taken one after the other, in the order of arrival. How they are cut into
batches makes no difference to anything that is kept.

1. A user id belongs to one profile. Only an ``alias`` whose ``previousId`` is itself a known user
   id brings two profiles with user ids together; nothing weaker does.
2. An anonymous id that comes with a user id, or with an e-mail address, links: unknown, it joins;
   known, its profile and the other one merge. If both have user ids (a shared device), it stays
   with the profile that had it first, and the item goes to its user id's.
3. An e-mail address links like an anonymous id, if it is well formed and stands in the traits of
   an ``identify``. An address that two profiles with user ids have claimed is a shared mailbox:
   it stays where it is and links nobody any more.
4. ``alias`` takes a ``previousId`` that is no known user id for an anonymous id.
5. Of two profiles that merge, the one first seen earlier is kept; seen at the same time, the one
   with the smaller id.
6. An item comes by the first it has of user id, anonymous id, e-mail address, previous id.

**Traits.** Per key the last write by event time holds, then the greater message id: a join, so
order and repetition make no difference. A null removes. No write is newer than its receipt, or a
device whose clock is ahead would have the last word for years.

**Consent.** Facts are only ever added; per channel the last by time holds, and of two at the same
time the denial.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

import msgspec

from martech.kernel.errors import Invalid
from martech.modules.profiles.contract import Identity, Kind, ProfileChange, Status
from martech.modules.tracking.contract import TrackedEvent

Key = tuple[Kind, str]
Traits = dict[str, "Written"]

NULL = msgspec.Raw(b"null")
EMPTY = msgspec.Raw(b"{}")
CONSENT_EVENT = "Segment Consent Preference Updated"

_ADDRESS = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_CHANNEL = re.compile(r"[^a-z0-9_.-]+")


class Written(msgspec.Struct, frozen=True, array_like=True):
    """The value of a trait, when it was true, and the message that said so."""

    at: datetime
    by: str
    value: msgspec.Raw


class Said(NamedTuple):
    """What an item says beside its ids."""

    traits: Mapping[str, msgspec.Raw]
    email: str | None
    consents: Mapping[str, Status]


class Reading(NamedTuple):
    keys: set[Key]
    said: dict[int, Said]
    """By the item's number; an item that is not here has its ids and nothing else to say."""


class Known(NamedTuple):
    """An identity that is on record, and whose it is."""

    profile_id: UUID
    first_seen: datetime
    identified: bool
    shared: bool


@dataclass(slots=True, eq=False)
class Person:
    """A profile while items are being taken."""

    id: UUID
    first_seen: datetime
    identified: bool
    new: bool
    changed: bool = False
    into: "Person | None" = None

    def root(self) -> "Person":
        """The profile that this one is now part of: itself, mostly."""
        person = self
        while person.into is not None:
            person = person.into
        return person


class Link(NamedTuple):
    """A new identity, and the item that brought it."""

    person: Person
    message_id: str
    at: datetime


@dataclass(slots=True)
class Plan:
    came: list[tuple[Key, Person]] = field(default_factory=list)
    """For each item, the identity it came by and whose it was at that moment."""

    people: dict[UUID, Person] = field(default_factory=dict)
    """Everybody the items concern, new ones included."""

    links: dict[Key, Link] = field(default_factory=dict)
    shared: list[Key] = field(default_factory=list)
    merges: list[tuple[Person, Person]] = field(default_factory=list)
    """Kept and merged, in order."""


# -- reading ---------------------------------------------------------------------------------


class _Consent(msgspec.Struct, frozen=True):
    categoryPreferences: dict[str, bool] = {}  # noqa: N815  as Segment's specification spells it


class _Context(msgspec.Struct, frozen=True):
    consent: _Consent = _Consent()


_traits = msgspec.json.Decoder(dict[str, msgspec.Raw])
_context = msgspec.json.Decoder(_Context)


def read(items: Sequence[TrackedEvent]) -> Reading:
    """Everything that must be looked up, and whatever must be decoded, once."""
    users: set[str] = set()
    anonymous: set[str] = set()
    emails: set[str] = set()
    said: dict[int, Said] = {}
    for number, item in enumerate(items):
        if item.user_id:
            users.add(item.user_id)
        if item.anonymous_id:
            anonymous.add(item.anonymous_id)
        if item.type == "identify" and item.traits != EMPTY:
            traits = _traits.decode(item.traits)
            email = address(traits.get("email", NULL))
            said[number] = Said(traits, email, {})
            emails |= {email} if email else set()
        elif item.type == "alias" and item.previous_id:
            users.add(item.previous_id)
            anonymous.add(item.previous_id)
            said[number] = Said({}, None, {})
        elif item.event == CONSENT_EVENT and item.type == "track":
            said[number] = Said({}, None, preferences(item.context))
    keys: set[Key] = {("user_id", value) for value in users}
    keys |= {("anonymous_id", value) for value in anonymous}
    keys |= {("email", value) for value in emails}
    return Reading(keys, said)


def address(value: msgspec.Raw) -> str | None:
    """The e-mail address in its one spelling; None if it is none."""
    try:
        text = msgspec.json.decode(value, type=str).strip().lower()
    except msgspec.ValidationError:
        return None
    return text if len(text) <= 254 and _ADDRESS.fullmatch(text) and "\0" not in text else None


def preferences(context: msgspec.Raw) -> dict[str, Status]:
    """The channels of Segment's consent event, by the names of its categories."""
    given = _context.decode(context).consent.categoryPreferences
    named = {_CHANNEL.sub("_", name.strip().lower())[:64]: yes for name, yes in given.items()}
    return {name: "granted" if yes else "denied" for name, yes in named.items() if name}


def moment(item: TrackedEvent) -> datetime:
    """When what the item says was true, for what the last word decides."""
    return min(item.timestamp, item.received_at)


# -- identity --------------------------------------------------------------------------------


def profile_id(tenant: UUID, item: TrackedEvent) -> UUID:
    """The id of a profile that *item* is the first to speak of (a UUIDv8: time, then a hash).

    The same item gives the same id again, so a projection that is rebuilt from what was tracked
    does not orphan what other modules hold.
    """
    digest = blake2b(item.message_id.encode(), key=tenant.bytes, digest_size=10).digest()
    bits = int(item.received_at.timestamp() * 1000) << 80 | int.from_bytes(digest, "big")
    return UUID(int=bits & ~(0xF000 << 64 | 0xC000 << 48) | 0x8000 << 64 | 0x8000 << 48)


def resolve(
    tenant: UUID,
    known: Mapping[Key, Known],
    items: Sequence[TrackedEvent],
    said: Mapping[int, Said],
) -> Plan:
    """Find or make the profile of each item. *known* must hold every key of `read` on record."""
    draft = _Draft(tenant, known)
    owners, came = draft.owners, draft.plan.came
    for number, item in enumerate(items):
        user, anonymous = item.user_id, item.anonymous_id
        key: Key = ("user_id", user) if user else ("anonymous_id", anonymous or "")
        person = owners.get(key)
        if (
            person is None
            or number in said
            or (user and anonymous and owners.get(("anonymous_id", anonymous)) is not person)
        ):
            key, person = draft.place(item, said.get(number))
        elif person.into is not None:
            person = person.root()
        if item.timestamp < person.first_seen:
            person.first_seen = item.timestamp
            person.changed = True
        came.append((key, person))
    return draft.plan


class _Draft:
    """The plan while it is being made: who owns what at this moment."""

    def __init__(self, tenant: UUID, known: Mapping[Key, Known]) -> None:
        self.tenant = tenant
        self.plan = Plan()
        self.owners: dict[Key, Person] = {}
        self.shared: set[Key] = set()
        people = self.plan.people
        for key, (owner, first_seen, identified, shared) in known.items():
            person = people.get(owner)
            if person is None:
                person = people[owner] = Person(owner, first_seen, identified, new=False)
            self.owners[key] = person
            if shared:
                self.shared.add(key)

    def place(self, item: TrackedEvent, said: Said | None) -> tuple[Key, Person]:
        """Whose *item* is, by the rules above, and by which name; with all that follows from it."""
        names = self._names(item, said)
        if not names:
            raise Invalid(
                f"{item.message_id} names nobody. Send a userId or an anonymousId.", field="userId"
            )
        has_user = names[0][0] == "user_id"
        person = self._owner(names[0]) if has_user else None
        if has_user and item.type == "alias" and item.previous_id:
            person = self._joined(person, self._owner(("user_id", item.previous_id)))
        for name in names[1:] if has_user else names:
            other = self._owner(name)
            if other is None or other is person or name in self.shared:
                continue
            if other.identified and (has_user or (person is not None and person.identified)):
                self._contest(name)
            else:
                person = self._joined(person, other)
        if person is None:
            person = self._new(item)
        if has_user and not person.identified:
            person.identified = person.changed = True
        for name in names:
            if name not in self.owners:
                self.owners[name] = person
                self.plan.links[name] = Link(person, item.message_id, item.timestamp)
        return names[0], person

    def _names(self, item: TrackedEvent, said: Said | None) -> list[Key]:
        names: list[Key] = []
        if item.user_id:
            names.append(("user_id", item.user_id))
        if item.anonymous_id:
            names.append(("anonymous_id", item.anonymous_id))
        if said is not None and said.email:
            names.append(("email", said.email))
        previous = item.previous_id if item.type == "alias" else None
        if previous and not (item.user_id and ("user_id", previous) in self.owners):
            names.append(("anonymous_id", previous))
        return names

    def _owner(self, name: Key) -> Person | None:
        person = self.owners.get(name)
        return None if person is None else person.root()

    def _contest(self, name: Key) -> None:
        if name[0] == "email":
            self.shared.add(name)
            self.plan.shared.append(name)

    def _joined(self, one: Person | None, other: Person | None) -> Person | None:
        if one is None or other is None or one is other:
            return one or other
        kept, gone = sorted((one, other), key=lambda person: (person.first_seen, person.id))
        gone.into = kept
        kept.identified = kept.identified or gone.identified
        kept.changed = gone.changed = True
        self.plan.merges.append((kept, gone))
        return kept

    def _new(self, item: TrackedEvent) -> Person:
        number = profile_id(self.tenant, item)
        person = Person(number, item.timestamp, identified=False, new=True, changed=True)
        self.plan.people[number] = person
        return person


# -- traits ----------------------------------------------------------------------------------


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


# -- consent ---------------------------------------------------------------------------------


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


def consent_changes(before: Mapping[str, Fact], after: Mapping[str, Fact]) -> list[Fact]:
    """The facts by which something else holds than before."""
    return [
        fact
        for channel, fact in after.items()
        if channel not in before or before[channel].status != fact.status
    ]
