"""The outbox of a module that is hosted here: a SELECT."""

from collections.abc import Sequence
from typing import Protocol

from martech.kernel import outbox
from martech.kernel.db import Database
from martech.kernel.outbox import Recorded


class Feed(Protocol):
    """A module's outbox, wherever it is."""

    source: str

    async def read(self, *, after: int, types: Sequence[str], items: int = 500) -> list[Recorded]:
        """The events of *types* behind position *after*, oldest first. Raises `Unavailable`."""
        ...

    async def head(self, types: Sequence[str]) -> int:
        """The last position of any of *types*; 0 when there is none."""
        ...

    async def waiting(self, *, after: int, types: Sequence[str]) -> int:
        """How many items stand behind position *after*."""
        ...


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
