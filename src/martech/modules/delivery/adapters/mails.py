"""The mails of one call, on their way to several sessions; each is told of exactly once."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from uuid import UUID

from martech.modules.delivery.domain.outcomes import NotTried, Outcome, Posted

Tell = Callable[[UUID, Outcome], None]
"""Told once for each mail, as soon as it is known what became of it."""


class Mails:
    def __init__(self, mails: Sequence[Posted], tell: Tell, *, within: float) -> None:
        self._waiting = deque(mails)
        self._tell = tell
        self.until = asyncio.get_running_loop().time() + within
        """The loop's time after which none is begun."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def left(self) -> bool:
        """Whether there is one, and time for it."""
        return bool(self._waiting) and asyncio.get_running_loop().time() < self.until

    def next(self) -> Posted | None:
        return self._waiting.popleft() if self.left else None

    def back(self, mail: Posted) -> None:
        """It was not begun after all."""
        self._waiting.appendleft(mail)

    def tell(self, id_: UUID, outcome: Outcome) -> None:
        self._tell(id_, outcome)

    def give_up(self, reason: str) -> None:
        """Tell of all that were not begun."""
        while self._waiting:
            self._tell(self._waiting.popleft().id, NotTried(reason))
