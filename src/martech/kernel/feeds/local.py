"""The outbox of a module that is hosted here: a SELECT."""

from collections.abc import Callable, Sequence

from martech.kernel import outbox
from martech.kernel.db import Database
from martech.kernel.feeds.wake import watch
from martech.kernel.outbox import Recorded


class LocalFeed:
    def __init__(self, database: Database) -> None:
        self.source = database.name
        self._database = database

    async def read(self, *, after: int, types: Sequence[str], items: int = 500) -> list[Recorded]:
        async with self._database.across(write=False) as connection:
            return await outbox.read(
                connection, self._database.metadata, after=after, types=types, items=items
            )

    async def head(self, types: Sequence[str]) -> int:
        async with self._database.across(write=False) as connection:
            return await outbox.head(connection, self._database.metadata, types)

    async def waiting(self, *, after: int, types: Sequence[str]) -> int:
        async with self._database.across(write=False) as connection:
            return await outbox.waiting(
                connection, self._database.metadata, after=after, types=types
            )

    async def watch(self, wake: Callable[[], None]) -> None:
        await watch(self._database, wake)

    async def close(self) -> None:
        """The database is its host's."""
