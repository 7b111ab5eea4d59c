"""When it happened, by our clock."""

import re
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AT_ONCE = timedelta(0)
READABLE = "Send ISO 8601 (2026-01-31T12:00:00Z), or seconds or milliseconds since 1970."

_SECONDS, _MILLISECONDS = 1e11, 1e13
"""Smaller numbers are seconds, then milliseconds; beyond there is no saying what they are."""

_NUMBER = re.compile(r"[0-9]{9,}(\.[0-9]*)?")
"""Eight digits are a day."""


class Unreadable(Exception): ...


def happened_at(
    original: object, sent_at: object, received_at: datetime, behind: timedelta = AT_ONCE
) -> datetime:
    """``received_at - (sent_at - original)``, as Segment has it: the sender's clock cancels out.

    Without a readable *sent_at* the original is believed; without an original it happened on
    receipt. Nothing happens after it was received, or before 1970 (a clock that was never set):
    that too happened on receipt, which is so much *behind* the request's. Raises `Unreadable` for
    an original that cannot be read: it may have happened at any time.
    """
    receipt = received_at + behind
    try:
        happened = _instant(original)
        if happened is None:
            return receipt
        if (sent := _believed(sent_at)) is not None:
            happened = received_at - (sent - happened)
    except OverflowError:
        return receipt
    return happened if EPOCH < happened < receipt else receipt


def _believed(sent_at: object) -> datetime | None:
    try:
        return _instant(sent_at)
    except Unreadable:
        return None


def _instant(value: object) -> datetime | None:
    """ISO 8601, UTC where it names no zone, or a number; None for blank, which is as good as
    absent. Raises `Unreadable`, or `OverflowError` for what is in no year that there is."""
    match value:
        case None:
            return None
        case bool():
            raise Unreadable
        case int() | float():
            return _since_epoch(value)
        case str():
            text = value.strip()
            if not text:
                return None
            return _since_epoch(float(text)) if _NUMBER.fullmatch(text) else _iso(text)
    raise Unreadable


def _since_epoch(number: float) -> datetime:
    if abs(number) >= _MILLISECONDS:
        raise Unreadable
    if abs(number) >= _SECONDS:
        return EPOCH + timedelta(milliseconds=number)
    return EPOCH + timedelta(seconds=number)


def _iso(text: str) -> datetime:
    spelt = text.upper()
    try:
        instant = datetime.fromisoformat(spelt[:-4] + "Z" if spelt.endswith(" UTC") else spelt)
    except ValueError:
        raise Unreadable from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
