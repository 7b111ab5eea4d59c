"""A message: CloudEvents 1.0 in Kafka's binary mode. The value is the event's data, the headers are
its attributes, and `ce_before` is the position of the event told before it.
"""

from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import Message

from martech.kernel.outbox import Recorded

Headers = list[tuple[str, str | bytes | None]]

ANEW: Final[Headers] = [("anew", b"1")]
"""Of the record that says "from here anew"."""

ALWAYS: Final[Headers] = [("ce_specversion", b"1.0"), ("content-type", b"application/json")]
ATTRIBUTES: Final = [name for name in Recorded.__struct_fields__ if name != "data"]


class Entry(NamedTuple):
    before: int
    record: Recorded


def headers_of(record: Recorded, before: int) -> Headers:
    given = {name: getattr(record, name) for name in ATTRIBUTES}
    said = {"before": before, **msgspec.to_builtins(given)}
    return ALWAYS + [(f"ce_{k}", str(v).encode()) for k, v in said.items() if v is not None]


def entry_of(message: Message) -> Entry | None:
    """None for the record that says "from here anew"."""
    headers: Any = message.headers() or ()
    said = {
        name.removeprefix("ce_"): value.decode() for name, value in headers if value is not None
    }
    if "position" not in said:
        return None
    data = msgspec.Raw(message.value() or b"")
    return Entry(
        int(said["before"]), msgspec.convert({**said, "data": data}, Recorded, strict=False)
    )
