"""What a module has said, wherever that module is.

local   the module is hosted here: a SELECT
http    a peer hosts it
redis   a broker carries it (`MARTECH_BROKER_URL`)
kafka   likewise

A feed is transport and never the record: that is the outbox. Every feed passes one conformance
suite, `tests/kernel/feeds`.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from martech.kernel.outbox import Recorded


class Feed(Protocol):
    """A module's outbox, wherever it is."""

    source: str

    async def read(self, *, after: int, types: Sequence[str], items: int = 500) -> list[Recorded]:
        """The events of *types* behind position *after*, oldest first, without a gap: what was told
        before the last of them is among them. Raises `Unavailable`.

        Where a feed must look through much that is of other types, a page may be empty before the
        end; who watches is woken then, and the next question goes on from there."""
        ...

    async def head(self, types: Sequence[str]) -> int:
        """The last position of any of *types*; 0 when there is none. Raises `Unavailable`."""
        ...

    async def waiting(self, *, after: int, types: Sequence[str]) -> int:
        """How many items stand behind position *after*. Raises `Unavailable`."""
        ...

    async def watch(self, wake: Callable[[], None]) -> None:
        """Call *wake* whenever something may have been told that this process did not commit
        itself; for ever. Only shortens the wait of those who poll anyway, and so raises nothing."""
        ...

    async def close(self) -> None: ...
