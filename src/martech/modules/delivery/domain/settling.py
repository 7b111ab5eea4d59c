"""What becomes of a message by what became of its mail. Pure."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from martech.modules.delivery.domain.ledger import Kept
from martech.modules.delivery.domain.outcomes import (
    Accepted,
    Ambiguous,
    NotTried,
    Outcome,
    Refused,
)

ATTEMPTS = 10
"""Times that the server may say *later*; then the message has failed."""

LONGEST = timedelta(hours=6)


class Unmade(msgspec.Struct, frozen=True, gc=False):
    """The mail could not be made: its template does not render for this person."""

    reason: str


Result = Outcome | Unmade


class Settled(msgspec.Struct, frozen=True, gc=False):
    state: Kept
    attempts: int
    due_at: datetime | None = None
    code: int | None = None
    reason: str | None = None
    suppress: bool = False
    """The address is dead: nobody is to write to it again."""


def settle(
    result: Result,
    *,
    id_: UUID,
    attempts: int,
    now: datetime,
    retry: timedelta,
    cancelled: bool,
) -> Settled:
    """*attempts* have been before this one; *retry* is the first wait. What would be tried again
    is not when its send was *cancelled* meanwhile."""
    match result:
        case Accepted():
            return Settled("delivered", attempts + 1)
        case Refused() if result.permanent:
            return _refused("bounced", result, attempts, suppress=result.about_address)
        case Ambiguous():
            return Settled("ambiguous", attempts + 1, reason=result.error[:500])
        case Unmade():
            return Settled("failed", attempts, reason=result.reason[:500])
        case NotTried() | Refused():
            return _later(result, attempts, now, now + _backoff(retry, attempts, id_), cancelled)


def _later(
    result: NotTried | Refused, attempts: int, now: datetime, due_at: datetime, cancelled: bool
) -> Settled:
    """It was not sent, and may be tried again."""
    if cancelled:
        return Settled("cancelled", attempts)
    if isinstance(result, NotTried):
        return Settled("pending", attempts, now)
    if attempts + 1 >= ATTEMPTS:
        return _refused("failed", result, attempts)
    return _refused("deferred", result, attempts, due_at=due_at)


def _refused(
    state: Kept,
    refused: Refused,
    attempts: int,
    *,
    suppress: bool = False,
    due_at: datetime | None = None,
) -> Settled:
    return Settled(state, attempts + 1, due_at, refused.code, refused.text[:500], suppress)


def _backoff(retry: timedelta, attempts: int, id_: UUID) -> timedelta:
    """Twice as long each time, and up to a quarter more: those who were deferred together do not
    come back together."""
    wait: timedelta = min(retry * 2**attempts, LONGEST)
    return wait * (1 + (id_.int >> 64) % 251 / 1000)
