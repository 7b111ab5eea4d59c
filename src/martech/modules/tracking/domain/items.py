"""The verdict on one item."""

from datetime import datetime, timedelta

import msgspec
from msgspec import Raw

from martech.modules.tracking.contract import EMPTY, KINDS, Kind, Occurrence, TrackedEvent
from martech.modules.tracking.domain.complaints import refused
from martech.modules.tracking.domain.free import Refused, inspect
from martech.modules.tracking.domain.instants import READABLE, Unreadable, happened_at

EVENT_BYTES = 32 * 1024
ID_LENGTH = 512
UNKNOWN = "unknown"
PLACE = timedelta(microseconds=1)
"""How much later than its neighbour an item came in: of two that say nothing of when they happened,
or the same, the later place is the later word."""


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """Why an item is not accepted. *reason* says what is wrong and what to send instead."""

    message_id: str
    type: str
    reason: str
    field: str | None = None


Verdict = TrackedEvent | Rejection


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What the request says about all its items."""

    received_at: datetime
    request_id: str
    """Items without a messageId get one that begins with it, and sorts by their place."""

    kind: Kind | None = None
    """Said by the path; None where each item says its own."""

    sent_at: object = None
    context: Raw = EMPTY

    def message_id(self, number: int) -> str:
        """That of the item at place *number* which brings none."""
        return f"{self.request_id}-{number:04}"


class _Told(msgspec.Struct, rename="camel", gc=False):
    """An item as clients write it: an id may be a number, and what is absent may be null."""

    type: object = None
    message_id: str | int | None = None
    timestamp: object = None
    original_timestamp: object = None
    sent_at: object = None
    user_id: str | int | None = None
    anonymous_id: str | int | None = None
    previous_id: str | int | None = None
    group_id: str | int | None = None
    event: str | None = None
    name: str | None = None
    category: str | None = None
    traits: Raw = EMPTY
    properties: Raw = EMPTY
    context: Raw = EMPTY


_told = msgspec.json.Decoder(_Told).decode


def judge(raw: Raw, arrival: Arrival, number: int = 0) -> Verdict:
    """Whether *raw*, the item at place *number*, is accepted. Never raises, whatever *raw* is."""
    item = bytes(raw)
    try:
        return _accept(item, arrival, number)
    except Refused as wrong:
        return _reject(item, arrival, number, wrong)


def written(occurrence: Occurrence) -> Raw:
    """As a client would have sent it."""
    return Raw(
        msgspec.json.encode(
            {
                "messageId": occurrence.message_id,
                "userId": occurrence.user_id,
                "anonymousId": occurrence.anonymous_id,
                "event": occurrence.event,
                "timestamp": occurrence.timestamp,
                "properties": occurrence.properties,
            }
        )
    )


def _accept(item: bytes, arrival: Arrival, number: int) -> TrackedEvent:
    told, free = _read(item)
    kind = arrival.kind or _kind(told.type)
    user_id = _text(told.user_id, "userId")
    anonymous_id = _text(told.anonymous_id, "anonymousId")
    behind = number * PLACE
    event = TrackedEvent(
        message_id=_text(told.message_id, "messageId") or arrival.message_id(number),
        type=kind,
        person_key=f"user:{user_id}" if user_id else f"anonymous:{anonymous_id}",
        timestamp=_timestamp(told, arrival, behind),
        received_at=arrival.received_at + behind,
        user_id=user_id,
        anonymous_id=anonymous_id,
        previous_id=_text(told.previous_id, "previousId"),
        group_id=_text(told.group_id, "groupId"),
        event=_text(told.event, "event") if kind == "track" else _text(told.name, "name"),
        traits=_traits(kind, told, free),
        properties=_properties(told, free),
        context=_object("context", told.context, free) if "context" in free else arrival.context,
    )
    _check_complete(event)
    return event


def _timestamp(told: _Told, arrival: Arrival, behind: timedelta) -> datetime:
    name, original = "originalTimestamp", told.original_timestamp
    if original is None:
        name, original = "timestamp", told.timestamp
    sent_at = arrival.sent_at if told.sent_at is None else told.sent_at
    try:
        return happened_at(original, sent_at, arrival.received_at, behind)
    except Unreadable:
        raise Refused(f"{name} cannot be read. {READABLE}", name) from None


def _read(item: bytes) -> tuple[_Told, dict[str, object]]:
    if len(item) > EVENT_BYTES:
        raise Refused(f"The event has {len(item):,} bytes. Send at most {EVENT_BYTES:,}.")
    try:
        return _told(item), inspect(item)
    except msgspec.ValidationError as error:
        raise refused(error) from None
    except (ValueError, RecursionError) as error:  # a DecodeError is a ValueError
        raise Refused(f"The event is not valid JSON: {error}.") from None


def _kind(told: object) -> Kind:
    for kind in KINDS:
        if told == kind:
            return kind
    raise Refused(f"type must be one of {', '.join(KINDS)}.", "type")


def _check_complete(event: TrackedEvent) -> None:
    if event.type == "alias":
        if not event.user_id:
            raise Refused("An alias needs userId, the id that is valid from now on.", "userId")
        if not event.previous_id:
            raise Refused("An alias needs previousId, the id known so far.", "previousId")
    elif not event.user_id and not event.anonymous_id:
        raise Refused("userId or anonymousId is needed, to know whom this is about.", "userId")
    elif event.type == "track" and not event.event:
        raise Refused("A track needs event, the name of what was done.", "event")
    elif event.type == "group" and not event.group_id:
        raise Refused("A group needs groupId, the id of what the person belongs to.", "groupId")


def _text(value: str | int | None, field: str) -> str | None:
    """An id or a name: a number becomes text, and blank is as good as absent."""
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value)
    if len(text) > ID_LENGTH:
        raise Refused(f"{field} has {len(text):,} characters. Send at most {ID_LENGTH}.", field)
    return text if text.strip() else None


def _object(field: str, raw: Raw, free: dict[str, object]) -> Raw:
    value = free.get(field)
    if isinstance(value, dict):
        return raw
    if value is None:
        return EMPTY
    raise Refused(f"{field} must be an object.", field)


def _traits(kind: Kind, told: _Told, free: dict[str, object]) -> Raw:
    """RudderStack's clients put what they identify with into ``context.traits``."""
    if kind == "identify" and not free.get("traits"):
        match free.get("context"):
            case {"traits": dict(moved)}:
                return Raw(msgspec.json.encode(moved))
    return _object("traits", told.traits, free)


def _properties(told: _Told, free: dict[str, object]) -> Raw:
    """The category of a page stands beside its properties in old clients, and in them in new."""
    properties = _object("properties", told.properties, free)
    if told.category is None:
        return properties
    inside = free.get("properties")
    return Raw(msgspec.json.encode({"category": told.category} | _as_object(inside)))


def _as_object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _reject(item: bytes, arrival: Arrival, number: int, wrong: Refused) -> Rejection:
    """What can still be said of the item, so that its sender finds it."""
    message_id, kind = arrival.message_id(number), str(arrival.kind or UNKNOWN)
    try:
        told: object = msgspec.json.decode(item)
    except (ValueError, RecursionError):
        told = None
    if isinstance(told, dict):
        given = told.get("messageId")
        if isinstance(given, str) and given.strip():
            message_id = printable(given, ID_LENGTH)
        if arrival.kind is None and told.get("type") in KINDS:
            kind = str(told["type"])
    field = printable(wrong.field, 200) if wrong.field else None
    return Rejection(message_id, kind, printable(wrong.reason, 500), field)


def printable(text: str, length: int) -> str:
    return text[:length].replace("\0", "\N{REPLACEMENT CHARACTER}")
