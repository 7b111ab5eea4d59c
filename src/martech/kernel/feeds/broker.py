"""What a broker has to be able to, so that outboxes travel by it.

    outbox ─▶ relay ─▶ broker ─▶ feed ─▶ listeners elsewhere

A broker is transport: it may forget all it has, and holds no cursor. What it knows of an outbox is
a piece without a hole, and where that piece ends is the relay's mark: nobody else writes it
down, so mark and copy cannot disagree.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from martech.kernel.feeds import Feed
from martech.kernel.outbox import Recorded


class Mark(NamedTuple):
    """The last event of a module that a broker has."""

    position: int
    id: UUID


ANEW: Final = Mark(-1, UUID(int=0))
"""In the place of a mark: whatever is there is dropped as the first of these is added, or not at
all."""


class Broker(Protocol):
    """Everything here raises `Unavailable` while the broker is away."""

    def feed(self, record: Feed) -> Feed:
        """What is told in *record*, a module's outbox elsewhere, as the broker carries it. How much
        there is only the record knows: a broker that forgot would say that nothing waits."""
        ...

    async def mark(self, source: str) -> Mark | None:
        """How far *source* is copied; None if nothing of it is here."""
        ...

    async def append(
        self, source: str, mark: Mark | None, records: Sequence[Recorded], *, after: int
    ) -> bool:
        """Add *records*, the first of which comes behind position *after* in the outbox. False, and
        nobody hears any of them, if *mark* (but for `ANEW`) was not the end any more. Where this
        raises, the first of them may be there, and nothing behind one that is not: `mark` says how
        many."""
        ...

    async def forget(self, source: str) -> None:
        """Drop all that was copied of *source*. Listeners wait until it is copied again."""
        ...

    async def warning(self) -> str | None:
        """Why it may forget what it was told, and what cures that."""
        ...

    async def close(self) -> None: ...
