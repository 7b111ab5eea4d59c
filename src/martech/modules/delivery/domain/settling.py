"""What becomes of a message by what became of its mail. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from martech.modules.delivery.domain.ledger import Kept
from martech.modules.delivery.domain.outcomes import (
    Accepted,
    Ambiguous,
    Dead,
    NotTried,
    Outcome,
    Refused,
)

ATTEMPTS = 10
"""Times that the server may say *later*; then the message has failed."""

LONGEST = timedelta(hours=6)

ASIDE: Mapping[Dead, int] = {"no": -1, "perhaps": -2, "surely": -3}
"""Lanes that nobody works in, by what a refusal says of the address: there messages that were
refused in a row wait until it is known whether the server takes any mail of ours."""

IN_A_ROW = 50
"""Refused for good, and none accepted in between: then it is not they, it is we, or the list."""

UNDER_WAY = 16
"""Mails that may be under way beside one, each on a connection of its own: while it was, so many
others may have been refused."""


class Unmade(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The mail could not be made: its template does not render for this person."""

    reason: str


Result = Outcome | Unmade


class Settled(msgspec.Struct, frozen=True, gc=False):
    state: Kept
    attempts: int
    due_at: datetime | None = None
    code: int | None = None
    reason: str | None = None
    dead: Dead = "no"

    @property
    def waits(self) -> bool:
        """Whether it is still to be known what the refusal means."""
        return self.state == "claimed"

    def suppresses(self, *, proven: bool) -> bool:
        """Whether nobody is to write to the address again; *proven* says that the server has taken
        mail from us."""
        return self.state == "bounced" and (self.dead == "surely" or (proven and self.dead != "no"))


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
            return _refused("bounced", result, attempts, dead=result.dead)
        case Ambiguous():
            return Settled("ambiguous", attempts + 1, reason=result.error[:500])
        case Unmade():
            return Settled("failed", attempts, reason=result.reason[:500])
        case NotTried() | Refused():
            return _later(result, attempts, now, now + _backoff(retry, attempts, id_), cancelled)


def in_a_row(told: Iterable[Mapping[UUID, Settled]], *, proven: bool) -> dict[UUID, Settled]:
    """Those refused for good after the last that was accepted, or so shortly before it that it may
    have been under way: its yes says nothing of them. They are in the order in which *told* has
    them; but, of a server that is *proven* to take our mail, there are not those whom it surely
    does not know: a list may have many of these."""
    row: dict[UUID, tuple[int, Settled]] = {}
    for number, (id_, each) in enumerate(item for settled in told for item in settled.items()):
        if each.state == "delivered":
            row = {k: v for k, v in row.items() if v[0] >= number - UNDER_WAY}
            proven = True
        elif each.state == "bounced":
            row[id_] = number, each
    return {k: each for k, (_, each) in row.items() if not (proven and each.dead == "surely")}


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
    dead: Dead = "no",
    due_at: datetime | None = None,
) -> Settled:
    return Settled(state, attempts + 1, due_at, refused.code, refused.text[:500], dead)


def _backoff(retry: timedelta, attempts: int, id_: UUID) -> timedelta:
    """Twice as long each time, and up to a quarter more: those who were deferred together do not
    come back together."""
    wait: timedelta = min(retry * 2**attempts, LONGEST)
    return wait * (1 + (id_.int >> 64) % 251 / 1000)
