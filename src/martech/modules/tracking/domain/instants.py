"""When it happened, by our clock."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AT_ONCE = timedelta(0)


def happened_at(
    original: object, sent_at: object, received_at: datetime, behind: timedelta = AT_ONCE
) -> datetime:
    """``received_at - (sent_at - original)``, as Segment has it: the sender's clock cancels out.

    Without a readable *sent_at* the original is believed; without a readable original it
    happened on receipt. Nothing happens after it was received, or before 1970 (a clock that
    was never set): that too happened on receipt, which is so much *behind* the request's.
    """
    receipt = received_at + behind
    happened = _instant(original)
    if happened is None:
        return receipt
    sent = _instant(sent_at)
    if sent is not None:
        try:
            happened = received_at - (sent - happened)
        except OverflowError:
            return receipt
    return happened if EPOCH < happened < receipt else receipt


def _instant(value: object) -> datetime | None:
    """ISO 8601, UTC where it names no zone; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        instant = datetime.fromisoformat(value)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
