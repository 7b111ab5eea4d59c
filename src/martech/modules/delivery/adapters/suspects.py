"""Mails that a server may not stand.

A server that is stopped drops whatever it has in hand, and no mail is to blame for that. One that
dies of a mail drops it each time, and whatever travels with it. From outside both look the same at
first: the connection breaks, and not a word was said about the mail. So such a mail goes last from
then on, and alone; and when it has happened often enough, the break was the answer.
"""

from uuid import UUID

TRIES = 3
"""Times that the connection broke at a mail, with no word about it, until that is an attempt."""

REMEMBERED = 10_000
"""Mails that are suspected, at most; the first ones are forgotten, and only tried as often anew."""


class Suspects:
    """Kept by a process for itself: what is forgotten costs a few tries and no mail."""

    def __init__(self) -> None:
        self._tries: dict[UUID, int] = {}

    def __contains__(self, id_: UUID) -> bool:
        return id_ in self._tries

    def add(self, id_: UUID) -> None:
        """The connection broke when it was about to follow: it may have been for that."""
        self._note(id_, 0)

    def blame(self, id_: UUID) -> bool:
        """The connection broke at it; whether it has done so often enough."""
        return self._note(id_, 1) >= TRIES

    def clear(self, id_: UUID) -> None:
        """The server has spoken of it."""
        self._tries.pop(id_, None)

    def _note(self, id_: UUID, more: int) -> int:
        tries = self._tries[id_] = self._tries.pop(id_, 0) + more
        if len(self._tries) > REMEMBERED:
            del self._tries[next(iter(self._tries))]
        return tries
