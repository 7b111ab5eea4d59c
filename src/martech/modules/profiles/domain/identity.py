"""Whose an item is: the profiles it finds, makes or merges. The rules stand in the package."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from martech.kernel.errors import Invalid
from martech.modules.profiles.domain.reading import Key, Said
from martech.modules.tracking.contract import TrackedEvent


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
