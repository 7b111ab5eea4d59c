"""What items say, decoded once: names to look up, traits, consents. Most say nothing but ids."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from martech.modules.profiles.contract import EMPTY, Kind, Status
from martech.modules.tracking.contract import TrackedEvent

Key = tuple[Kind, str]

NULL = msgspec.Raw(b"null")
CONSENT_EVENT = "Segment Consent Preference Updated"
EMAIL = "email"
"""The channel that no other may crowd out: mail is what people refuse."""

MOST_CHANNELS = 100
"""Of one event, and of one name of a person: any page may send categories without end, and each is
a row and an event."""

_ADDRESS = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_NOT_OF_CHANNEL = re.compile(r"[^a-z0-9_.-]+")


class Said(NamedTuple):
    """What an item says beside its ids."""

    traits: Mapping[str, msgspec.Raw]
    email: str | None
    consents: Mapping[str, Status]


class Reading(NamedTuple):
    keys: set[Key]
    said: dict[int, Said]
    """By the item's number; an item that is not here has its ids and nothing else to say."""


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_context = msgspec.json.Decoder(object)


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
            traits = _members.decode(item.traits)
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
    except msgspec.DecodeError:
        return None
    return text if len(text) <= 254 and _ADDRESS.fullmatch(text) and "\0" not in text else None


def preferences(context: msgspec.Raw) -> dict[str, Status]:
    """The channels of Segment's consent event, by the names of its categories; of two that mean
    one channel the denial. What is neither true nor false says nothing: a stranger wrote it. Of too
    many those with short names are kept, and e-mail always: programs make up longer ones."""
    match _context.decode(context):
        case {"consent": {"categoryPreferences": dict(given)}}:
            told = [(_channel(name), yes) for name, yes in given.items() if isinstance(yes, bool)]
        case _:
            return {}
    denied = {channel for channel, yes in told if not yes}
    channels = {channel for channel, _ in told if channel}
    if len(channels) > MOST_CHANNELS:
        channels = set(sorted(channels, key=lambda c: (c != EMAIL, len(c), c))[:MOST_CHANNELS])
    return {c: "denied" if c in denied else "granted" for c, _ in told if c in channels}


def _channel(category: str) -> str:
    return _NOT_OF_CHANNEL.sub("_", category.strip().lower())[:64]


def moment(item: TrackedEvent) -> datetime:
    """When what the item says was true, for what the last word decides."""
    return min(item.timestamp, item.received_at)


def is_channel(name: str) -> bool:
    return 0 < len(name) <= 64 and not _NOT_OF_CHANNEL.search(name)
