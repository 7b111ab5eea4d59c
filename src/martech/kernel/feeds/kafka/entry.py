"""A message: CloudEvents 1.0 in Kafka's binary mode. The value is the event's data, the headers are
its attributes, and `ce_before` is the position of the event told before it.

Kafka cannot be told "append this only behind that". So a message says at which `offset` it belongs,
and one that came to stand elsewhere does not count: its relay was late, or what it sent before was
refused. And it says of which `copy` it is: what stood before that was copied is no longer true.
"""

from typing import Any, Final, NamedTuple, Self
from uuid import uuid4

import msgspec
from confluent_kafka import Message

from martech.kernel.outbox import Recorded

Headers = list[tuple[str, str | bytes | None]]

ALWAYS: Final[Headers] = [("ce_specversion", b"1.0"), ("content-type", b"application/json")]
ATTRIBUTES: Final = [name for name in Recorded.__struct_fields__ if name != "data"]


class Copy(NamedTuple):
    """A piece of an outbox, copied event by event."""

    begun: int
    """The offset of its first message."""

    name: str
    """Made by chance: a topic that was deleted begins at 0 again."""

    @classmethod
    def anew(cls, begun: int) -> Self:
        return cls(begun, uuid4().hex)


class Entry(NamedTuple):
    copy: Copy
    before: int = 0
    record: Recorded | None = None
    """None where a copy begins."""


def beginning() -> Headers:
    """Of the message with which another copy begins, wherever it comes to stand."""
    return [("anew", uuid4().hex)]


def headers_of(record: Recorded, before: int, copy: Copy, offset: int) -> Headers:
    given = {name: getattr(record, name) for name in ATTRIBUTES}
    said = {"before": before, **msgspec.to_builtins(given)}
    if not record.subject:
        del said["subject"]  # CloudEvents has no empty ones
    place: Headers = [("offset", str(offset)), ("copy", f"{copy.begun} {copy.name}")]
    return [
        *ALWAYS,
        *place,
        *((f"ce_{k}", str(v).encode()) for k, v in said.items() if v is not None),
    ]


def entry_of(message: Message) -> Entry | None:
    """None if it does not count."""
    headers: Any = message.headers() or ()
    said = {
        name.removeprefix("ce_"): value.decode() for name, value in headers if value is not None
    }
    offset = message.offset() or 0
    if "anew" in said:
        return Entry(Copy(offset, said["anew"]))
    if said.get("offset") != str(offset):
        return None
    begun, _, name = said["copy"].partition(" ")
    attributes = {"subject": "", **said, "data": msgspec.Raw(message.value() or b"")}
    record = msgspec.convert(attributes, Recorded, strict=False)
    return Entry(Copy(int(begun), name), int(said["before"]), record)
