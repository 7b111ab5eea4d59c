"""The mails of one call, on their way to several sessions; each is told of exactly once."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from uuid import UUID

from martech.kernel import telemetry
from martech.modules.delivery.adapters.suspects import Suspects
from martech.modules.delivery.domain.outcomes import Accepted, NotTried, Outcome, Posted, Refused

Tell = Callable[[UUID, Outcome], None]
"""Told once for each mail, as soon as it is known what became of it."""


class Mails:
    def __init__(
        self, mails: Sequence[Posted], tell: Tell, *, within: float, suspects: Suspects
    ) -> None:
        self._waiting = deque(sorted(mails, key=lambda mail: mail.id in suspects))
        self._tell = tell
        self._suspects = suspects
        self._begun: dict[UUID, telemetry.Trace] = {}
        self.until = asyncio.get_running_loop().time() + within
        """The loop's time after which none is begun."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def left(self) -> bool:
        """Whether there is one, and time for it."""
        return bool(self._waiting) and asyncio.get_running_loop().time() < self.until

    @property
    def follows(self) -> bool:
        """Whether the next one may travel with the end of another: if the server leaves over it,
        nobody knows what became of that other one."""
        return bool(self._waiting) and self._waiting[0].id not in self._suspects

    def next(self) -> Posted | None:
        if not self.left:
            return None
        mail = self._waiting.popleft()
        if begun := telemetry.begun("send smtp", "client", _named(mail)):
            self._begun[mail.id] = begun
        return mail

    def back(self, mail: Posted, *, suspect: bool = False) -> None:
        """It was not begun after all. A *suspect* waits for all others, now and later."""
        if suspect:
            self._suspects.add(mail.id)
            self._waiting.append(mail)
        else:
            self._waiting.appendleft(mail)

    def blamed(self, mail: Posted) -> bool:
        """The connection broke at it before the server said a word about it; whether that has
        happened so often that it is an answer."""
        return self._suspects.blame(mail.id)

    def heard(self, mail: Posted) -> None:
        """The server says something about it."""
        self._suspects.clear(mail.id)

    def tell(self, id_: UUID, outcome: Outcome) -> None:
        if begun := self._begun.pop(id_, None):
            _end(begun, outcome)
        self._tell(id_, outcome)

    def give_up(self, reason: str) -> None:
        """Tell of all that were not begun."""
        while self._waiting:
            self._tell(self._waiting.popleft().id, NotTried(reason))


def _named(mail: Posted) -> telemetry.Attributes:
    """What is recorded of a mail is which one it is, and never to whom it goes."""
    return {
        "messaging.system": "smtp",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.message.id": str(mail.id),
        "messaging.message.body.size": len(mail.data),
    }


def _end(begun: telemetry.Trace, outcome: Outcome) -> None:
    if begun.span is not None and isinstance(outcome, Refused):
        begun.span.attributes |= {"smtp.reply": outcome.code, "smtp.stage": outcome.stage}
    begun.end("" if isinstance(outcome, Accepted) else type(outcome).__name__)
