"""What is kept of what somebody did, and what it adds to a measure."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec

from martech.modules.personalization.domain.conditions import LONGEST_NAME, Measure
from martech.modules.personalization.domain.values import MISSING, micros, test_of
from martech.modules.profiles.contract import EMPTY, Activity

LONGEST_VALUE: Final = 2000  # bytes of JSON
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_plain = msgspec.json.Decoder(dict[str, object])
_encode = msgspec.json.Encoder().encode
_NESTED = b"{["

Values = Mapping[str, object]
Amount = Callable[[Values], int]
"""What one event adds to a measure; 0 if nothing."""


class Done(msgspec.Struct, frozen=True, gc=False):
    """One thing that somebody did, as it is kept."""

    profile_id: UUID
    """By which it was told; whose it is now, a merge may have changed."""

    event: str
    at: int
    digest: bytes
    """Of the message: it counts once, however often it is heard."""

    identity: str
    """The name it came by: what an un-merge would go by."""

    properties: bytes


def done(activity: Activity) -> Done | None:
    """What is kept of *activity*; None if it is nothing that a condition could name.

    A clock that is ahead has not seen the future: nothing happened later than it was received.
    """
    event = activity.event
    if activity.type != "track" or event is None or len(event) > LONGEST_NAME:
        return None
    return Done(
        activity.profile_id,
        event,
        instant(min(activity.timestamp, activity.received_at)),
        blake2b(activity.message_id.encode(), digest_size=16).digest(),
        f"{activity.identity.kind}:{activity.identity.value}",
        scalars(activity.properties),
    )


def instant(moment: datetime) -> int:
    """In microseconds since 1970."""
    return (moment - EPOCH) // MICROSECOND


def scalars(properties: msgspec.Raw) -> bytes:
    """The top-level members that are no list and no object, nor too long. However many they are:
    an event has 32 KB, and what a segment to come will ask for is not to be known now."""
    if properties == EMPTY:
        return b"{}"
    kept = {
        name: value
        for name, value in _members.decode(properties).items()
        if (view := memoryview(value))[0] not in _NESTED and len(view) <= LONGEST_VALUE
    }
    return _encode(kept)


def values(stored: bytes) -> dict[str, object]:
    """Without those that are null: they are missing."""
    if stored == b"{}":
        return {}
    return {name: value for name, value in _plain.decode(stored).items() if value is not None}


def amount_of(measure: Measure) -> Amount:
    tests = [(asked.name, test_of(asked.is_, asked.value)) for asked in measure.where]
    summed = measure.sum

    def added(properties: Values) -> int:
        return 1 if summed is None else micros(properties.get(summed)) or 0

    def filtered(properties: Values) -> int:
        for name, test in tests:
            if not test(properties.get(name, MISSING)):
                return 0
        return added(properties)

    return filtered if tests else added
