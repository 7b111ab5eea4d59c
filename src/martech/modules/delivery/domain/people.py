"""Our own copy of people: what a mail says about them, where it goes, what they allow. Pure."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from martech.modules.delivery.domain.addresses import Address, address
from martech.modules.profiles.contract import (
    MOST_TRAITS,
    ConsentChanged,
    Identity,
    ProfileChange,
    ProfilesMerged,
    Status,
)

CHANNEL = "email"
UNWANTED: Final = "unsubscribed"
NULL = msgspec.Raw(b"null")

known_address = lru_cache(10_000)(address)
"""`address`, which takes a while, once for each."""

Heard = ProfileChange | ProfilesMerged | ConsentChanged


class Consent(NamedTuple):
    """What somebody last said of mails."""

    status: Status
    at: datetime | None
    """None where it was heard before times were kept."""


class Recipient(msgspec.Struct):
    """One person, as of the last thing heard."""

    traits: dict[str, msgspec.Raw] = {}
    """Up to `MOST_TRAITS`; as profiles keep no more and tell first what is gone, all there are."""

    address: str | None = None
    identity: Identity | None = None
    """By which tracking knows them."""

    consent: Consent | None = None
    merged_into: UUID | None = None


class Left(NamedTuple):
    """Somebody wanted no more mails to an address."""

    address: str
    profile_id: UUID | None
    """As the mail was addressed; None where it was said before that was kept."""

    since: datetime


def hear(people: dict[UUID, Recipient], heard: Iterable[Heard]) -> set[str]:
    """Change *people*, who must hold everybody that is mentioned, and those who were merged into
    them. Returns the addresses that somebody allows anew."""
    granted: set[str] = set()
    for fact in heard:
        match fact:
            case ProfileChange():
                _change(people[fact.profile_id], fact)
            case ProfilesMerged():
                _merge(people, fact)
            case ConsentChanged() if fact.channel == CHANNEL:
                person = people[fact.profile_id]
                said = Consent(fact.status, fact.at)
                timed = person.consent is not None and person.consent.at is not None
                person.consent = _holding(person.consent, said) if timed else said
                if person.consent == ("granted", fact.at) and person.address is not None:
                    granted.add(person.address)
    return granted


def taken_back(left: Left, consents: Collection[Consent | None]) -> bool:
    """Whether all whom it concerns have allowed it since: who said it, and whoever has that address
    today."""
    return bool(consents) and all(granted_since(each, left.since) for each in consents)


def granted_since(said: Consent | None, since: datetime) -> bool:
    """Whether mails are allowed, and that was said later; False where nobody knows when."""
    if said is None or said.at is None:
        return False
    return said.status == "granted" and said.at > since


def _change(person: Recipient, change: ProfileChange) -> None:
    """A trait that is known may change however many there are; a new one beyond so many is passed
    over."""
    for name, value in change.traits.items():
        if value == NULL:
            person.traits.pop(name, None)
        elif name in person.traits or len(person.traits) < MOST_TRAITS:
            person.traits[name] = value
    if CHANNEL in change.traits:
        found = mail_address(change.traits[CHANNEL])
        person.address = found.text if found else None
    for identity in change.identities:
        person.identity = _stronger(person.identity, identity)


def _merge(people: dict[UUID, Recipient], merge: ProfilesMerged) -> None:
    gone, kept = people[merge.merged], people[merge.kept]
    if gone.identity is not None:
        kept.identity = _stronger(kept.identity, gone.identity)
    kept.consent = _holding(kept.consent, gone.consent)
    for person in people.values():
        if person.merged_into == merge.merged:
            person.merged_into = merge.kept
    people[merge.merged] = Recipient(merged_into=merge.kept)


def _holding(one: Consent | None, other: Consent | None) -> Consent | None:
    """What was said later; at the same time, or nobody knows when, the denial."""
    if one is None or other is None:
        return one or other
    if one.at is None or other.at is None or one.at == other.at:
        return one if one.status == "denied" else other
    return one if one.at > other.at else other


def _stronger(one: Identity | None, other: Identity) -> Identity | None:
    """The first user id, or the first anonymous id: tracking takes no other."""
    if other.kind == "email" or (one is not None and one.kind == "user_id"):
        return one
    return other if one is None or other.kind == "user_id" else one


def mail_address(trait: msgspec.Raw) -> Address | None:
    try:
        return known_address(msgspec.json.decode(trait, type=str).strip())
    except msgspec.MsgspecError:
        return None


def traits_of(stored: bytes) -> Mapping[str, object]:
    """As a template reads them."""
    return _values(stored)


_values = msgspec.json.Decoder(dict[str, object]).decode
