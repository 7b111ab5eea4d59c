"""An engine that is a module's own storage, where tables would not do: an event store, for one.

The module says what it needs of it by a `Protocol` in its domain; an adapter is that and an
`Engine`. The cursors of the module's subscriptions live in the engine too and move in its
transactions, together with the rows: that makes an effect happen exactly once.

A process opens an engine once, whatever the number of its hosts, and only when it is first used:
``martech key issue`` opens none.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol

from sqlalchemy import MetaData, delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from martech.kernel.cursors import Cursor, Cursors, Place


class Engine(Protocol):
    """What the kernel needs of a store. It is used from more than one event loop."""

    shareable: ClassVar[bool]
    """Whether several processes may have it open at once."""

    def __init__(self, url: str) -> None:
        """Open nothing yet; raise `ValueError` with a sentence for a URL that is wrong."""
        ...

    @staticmethod
    def kept_in(url: str) -> Path | None:
        """What holds all of it once it is closed, to be moved; None where a server keeps it."""
        ...

    async def check(self) -> None:
        """Raise `Unavailable` unless it can be asked; at once, however many questions wait."""
        ...

    async def place(self, subscription: str) -> Place:
        """Where its cursor stands; the beginning, if it has none."""
        ...

    def moving(
        self, subscription: str, begin: Place, end: Place
    ) -> AbstractAsyncContextManager[Any]:
        """One transaction: what is written to what this yields, and the cursor from *begin* to
        *end*. It commits when the block ends. Raises `Overtaken`, with nothing done, when the
        cursor is not at *begin*."""
        ...

    def once(self, subscription: str, item: Place) -> AbstractAsyncContextManager[Any]:
        """One transaction for an *item* that was set aside: what is written, and a mark that it
        is done."""
        ...

    async def is_marked(self, subscription: str, item: Place) -> bool: ...

    async def unmark(self, subscription: str, item: Place) -> None:
        """Forget the mark, once nobody can try the item again."""
        ...

    async def rewind(self, subscription: str, to: int) -> int:
        """Take out what was written for what stands behind position *to*, and with it the marks,
        and put the cursor there; in one transaction. It may go back further, to where it can do
        so exactly, and it never goes on: what was not heard yet is not passed over. Returns where
        the cursor stands now."""
        ...

    async def close(self) -> None: ...


class StoredCursors(Cursors):
    """The place is in the store. The row in the module's schema says whether somebody asks for a
    rewind: `martech replay` needs no way into a store that a server has open, and the next step
    of the subscription does it."""

    NOBODY_ASKED = -1

    def __init__(self, metadata: MetaData, subscription: str, engine: Callable[[], Engine]) -> None:
        super().__init__(metadata, subscription, first=self.NOBODY_ASKED)
        self._engine = engine
        self.asked: int | None = None
        """A position to rewind to, as of the last `load`."""

    @property
    def engine(self) -> Engine:
        return self._engine()

    async def load(self, connection: AsyncConnection, *, lock: bool = False) -> Cursor:
        row = await super().load(connection, lock=lock)
        asked = row.place.position
        self.asked = None if asked == self.NOBODY_ASKED else asked
        return row._replace(place=await self.engine.place(self._name))

    async def move(self, connection: AsyncConnection, place: Place) -> None:
        """The store's own transaction does."""

    async def rewind(self, connection: AsyncConnection, to: int) -> int:
        """Ask for it; the next step of the subscription takes back and hears again. Where two ask
        before it has come to that, it goes back as far as either wants."""
        waiting = (await super().load(connection, lock=True)).place.position
        to = to if waiting == self.NOBODY_ASKED else min(to, waiting)
        await self._ask(connection, to)
        return to

    async def rewound(self, connection: AsyncConnection, to: int) -> None:
        """It is done; what had been set aside behind *to* will be heard again."""
        await self.sweep(connection, Place(to, 0))
        await self._ask(connection, self.NOBODY_ASKED)

    async def sweep(self, connection: AsyncConnection, place: Place) -> None:
        """Forget what was set aside at or behind the cursor: left by a batch that did not make it
        into the store."""
        mine = self._parked.c.subscription == self._name
        await connection.execute(delete(self._parked).where(mine, ~self._is_done(place)))

    async def _ask(self, connection: AsyncConnection, to: int) -> None:
        mine = self._cursors.c.subscription == self._name
        await connection.execute(update(self._cursors).where(mine).values(position=to))


class Stores:
    """The engines of a process, each opened once and closed with the last host that uses it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Engine, int]] = {}

    def take(self, url: str, make: Callable[[str], Engine]) -> Engine:
        with self._lock:
            engine, users = self._held.get(url) or (make(url), 0)
            self._held[url] = engine, users + 1
            return engine

    async def leave(self, url: str) -> None:
        with self._lock:
            engine, users = self._held.pop(url)
            if users > 1:
                self._held[url] = engine, users - 1
                return
        await engine.close()
