"""Where a page ended."""

from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import msgspec

from martech.kernel.errors import Invalid

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

P = TypeVar("P")


def cursor(*place: UUID | int | str) -> str:
    """As text that nobody needs to understand."""
    return msgspec.json.encode(place).hex()


def place(after: str, kind: type[P]) -> P:
    """The place that `cursor` wrote down. Raises `Invalid`."""
    try:
        return msgspec.json.decode(bytes.fromhex(after), type=kind)
    except (ValueError, msgspec.MsgspecError):
        raise Invalid("This is no page's `next`. Leave it out to begin.", field="after") from None


def micros(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def moment(number: int) -> datetime:
    """Raises `Invalid`."""
    try:
        return EPOCH + number * MICROSECOND
    except OverflowError:
        raise Invalid("This is no page's `next`. Leave it out to begin.", field="after") from None
