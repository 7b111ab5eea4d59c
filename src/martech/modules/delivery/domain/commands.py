"""What delivery is to do later, and out in the world."""

from uuid import UUID

from martech.kernel.messages import Command

LANES = 2
"""Batches of one send on their way at once: while one waits for the server, another is made. More
would only wait for each other, with mails in hand."""

LANE = 200
"""Messages that are worth a lane more."""

SLOW = 500.0
"""Messages a second up to which one lane does."""


class Deliver(Command, frozen=True, kw_only=True):
    """Hand over what is due of a send, for a while. A lane has one holder at a time."""

    send_id: UUID
    lane: int = 0

    @property
    def key(self) -> str:
        return f"{self.send_id} {self.lane}"


class CancelWaiting(Command, frozen=True, kw_only=True):
    """Cancel what still waits of a send that was cancelled, some at a time."""

    send_id: UUID

    @property
    def key(self) -> str:
        return str(self.send_id)


class Tell(Command, frozen=True, kw_only=True):
    """Tell tracking what people did with their mails, and profiles who wants no more."""

    @property
    def key(self) -> str:
        return "tell"


def lanes(waiting: int, rate: float | None) -> int:
    """How many lanes *waiting* messages are worth at *rate* a second."""
    if rate is not None and rate <= SLOW:
        return 1
    return min(LANES, 1 + waiting // LANE)
