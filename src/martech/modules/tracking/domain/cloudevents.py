"""CloudEvents 1.0, as other systems send them: from HTTP to events, and what each is to us.

An event is something that a person did: ``type`` says what, ``data`` more about it, ``time`` when.
Who it was says the extension ``userid`` or ``anonymousid``; without both the ``subject`` is the
user id. A type that is one of our kinds (``identify``, ``page``, …) means that kind, with
``groupid`` and ``previousid`` where it needs them. ``source`` and ``id`` tell one event from all
others, and so are its message id.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, NamedTuple
from urllib.parse import unquote

import msgspec
from msgspec import Raw

from martech.kernel.errors import Malformed
from martech.modules.tracking.contract import EMPTY, KINDS, Kind
from martech.modules.tracking.domain.bodies import open_event, open_events, open_single
from martech.modules.tracking.domain.free import Refused, inspect
from martech.modules.tracking.domain.items import (
    ID_LENGTH,
    UNKNOWN,
    Arrival,
    Rejection,
    Verdict,
    judge,
    printable,
)

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
PREFIX = "ce-"
NEEDED = ("specversion", "id", "source", "type")

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Value = str | bool | int
Attributes = Mapping[str, Value]

_NAME = re.compile(r"[a-z0-9]+")
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_parts = msgspec.json.Decoder(dict[str, Raw]).decode


class Sent(NamedTuple):
    """What one request brought."""

    events: list[Raw]
    single: bool
    """Whether it was one event, whose sender is told at once if it is refused."""


def opened(headers: Iterable[tuple[str, str]], body: bytes) -> Sent:
    """The events of a request, in whichever of the three modes. *headers* have names in lower
    case. Raises `Malformed` or `TooLarge`."""
    listed = [(str(name), value) for name, value in headers]  # Litestar's names are no plain text
    content_type = dict(listed).get("content-type", "")
    media = content_type.partition(";")[0].strip().lower()
    if media == STRUCTURED:
        return Sent(open_event(body).items, single=True)
    if media == BATCH:
        return Sent(open_events(body).items, single=False)
    if media.startswith("application/cloudevents"):
        raise Malformed(
            f"{media[:100]} is not read here. Send {STRUCTURED}, {BATCH}, or {PREFIX}* headers "
            "with the data as JSON.",
            field="Content-Type",
        )
    return Sent([_binary(listed, content_type, body)], single=True)


def judge_event(raw: Raw, arrival: Arrival, number: int = 0) -> Verdict:
    """Whether *raw*, the event at place *number*, is accepted. Never raises, whatever it is."""
    said: Mapping[str, object] = {}
    try:
        said = _read(bytes(raw))
        return judge(_item(_attributes(said), _data(said, raw)), arrival, number)
    except Refused as wrong:
        message_id = arrival.message_id(number)
        if isinstance(said.get("source"), str) and isinstance(said.get("id"), str):
            message_id = printable(f"{said['source']} {said['id']}", ID_LENGTH)
        kind = str(_kind(said["type"])) if isinstance(said.get("type"), str) else UNKNOWN
        field = printable(wrong.field, 200) if wrong.field else None
        return Rejection(message_id, kind, printable(wrong.reason, 500), field)


def _binary(headers: Iterable[tuple[str, str]], content_type: str, body: bytes) -> Raw:
    """The event that headers and body make together, as if it had been sent structured."""
    attributes: dict[str, str] = {}
    for name, value in headers:
        if name.startswith(PREFIX):
            if (attribute := name.removeprefix(PREFIX)) in {*attributes, "data", "data_base64"}:
                raise Malformed(f"{name} stands there twice, or is no attribute.", field=name)
            attributes[attribute] = _decoded(name, value)
    if not attributes:
        raise Malformed(
            f"This is no CloudEvent. Send {STRUCTURED} or {BATCH}, or the attributes as headers "
            f"({', '.join(PREFIX + each for each in NEEDED)}) and the data as JSON.",
            field="Content-Type",
        )
    if content_type:
        attributes["datacontenttype"] = content_type
    data = bytes(open_single(body).items[0]) if body.strip() else b"{}"
    return Raw(msgspec.json.encode(attributes)[:-1] + b',"data":' + data + b"}")


def _decoded(name: str, value: str) -> str:
    """Without what a header needs: percent signs, and perhaps quotes."""
    if value.startswith('"') and value.endswith('"') and len(value) > 1:
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        if value.isascii() and not _PERCENT.search(value):
            return unquote(value, errors="strict")
    except UnicodeDecodeError:
        pass
    raise Malformed(
        f"{name} cannot be read. Percent-encode the UTF-8 of what is not ASCII.", field=name
    )


def _read(event: bytes) -> dict[str, object]:
    try:
        return inspect(event)
    except msgspec.ValidationError:
        raise Refused("An event is a JSON object. Send one.") from None
    except (ValueError, RecursionError) as error:  # a DecodeError is a ValueError
        raise Refused(f"The event is not valid JSON: {error}.") from None


def _attributes(said: Mapping[str, object]) -> Attributes:
    """All but the data, each as it must be."""
    attributes: dict[str, Value] = {}
    for name, value in said.items():
        if name == "data" or value is None:
            continue
        if not _NAME.fullmatch(name):
            cure = "Send JSON as data." if name == "data_base64" else "Use a-z and 0-9 only."
            raise Refused(f"{name[:100]!r} is no attribute. {cure}", name)
        if not isinstance(value, Value):
            raise Refused(f"{name} must be text, a whole number, true or false.", name)
        if len(str(value)) > ID_LENGTH:
            raise Refused(f"{name} is too long. Send at most {ID_LENGTH} characters.", name)
        attributes[name] = value
    _check(attributes)
    return attributes


def _check(attributes: Attributes) -> None:
    for name in NEEDED:
        if not _text(attributes, name):
            raise Refused(f"{name} is missing. An event needs it, as text.", name)
    if attributes["specversion"] != "1.0":
        raise Refused("Only CloudEvents 1.0 are read. Send specversion 1.0.", "specversion")
    if re.search(r"\s", str(attributes["source"])):
        raise Refused("source is a URI and holds no blanks. Percent-encode them.", "source")
    media = str(attributes.get("datacontenttype", "application/json"))
    if not re.fullmatch(r"\w+/([\w.-]+\+)?json", media.partition(";")[0].strip().lower()):
        raise Refused("Only JSON is read. Send application/json.", "datacontenttype")
    try:
        msgspec.convert(attributes.get("time"), Moment | None)
    except msgspec.ValidationError:
        raise Refused("time must be RFC 3339: 2026-01-31T12:00:00Z.", "time") from None


def _data(said: Mapping[str, object], raw: Raw) -> Raw:
    match said.get("data"):
        case None:
            return EMPTY
        case dict():
            return _parts(raw)["data"]
    raise Refused("data must be an object: its names are what is known of the event.", "data")


def _item(attributes: Attributes, data: Raw) -> Raw:
    """The event as a client of the tracking API would have sent it."""
    kind = _kind(attributes["type"])
    anonymous_id, subject = _text(attributes, "anonymousid"), _text(attributes, "subject")
    user_id = _text(attributes, "userid")
    if not user_id and not anonymous_id:
        user_id, subject = subject, None
    if not user_id and (kind == "alias" or not anonymous_id):
        cure = "Send userid, anonymousid, or the user id as subject."
        raise Refused(f"Whom is it about? {cure}", "userid")
    for of, name in (("alias", "previousid"), ("group", "groupid")):
        if kind == of and not _text(attributes, name):
            raise Refused(f"An event of type {of} needs {name}.", name)
    return Raw(
        msgspec.json.encode(
            {
                "type": kind,
                "messageId": _message_id(attributes),
                "userId": user_id,
                "anonymousId": anonymous_id,
                "previousId": _text(attributes, "previousid"),
                "groupId": _text(attributes, "groupid"),
                "timestamp": attributes.get("time"),
                "event": attributes["type"],
                "name": subject,
                "traits" if kind in ("identify", "group") else "properties": data,
                "context": {"cloudevent": attributes},
            }
        )
    )


def _kind(event_type: object) -> Kind:
    return next((kind for kind in KINDS if kind == event_type), "track")


def _text(attributes: Attributes, name: str) -> str | None:
    """Blank is as good as absent."""
    value = attributes.get(name)
    return value if isinstance(value, str) and value.strip() else None


def _message_id(attributes: Attributes) -> str:
    """No source has a blank: two pairs never make one."""
    message_id = f"{attributes['source']} {attributes['id']}"
    if len(message_id) > ID_LENGTH:
        raise Refused(f"source and id have more than {ID_LENGTH - 1} characters together.", "id")
    return message_id
