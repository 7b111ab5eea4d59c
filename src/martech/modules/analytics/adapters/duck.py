"""The event store in DuckDB: cursors and rows move in one transaction of one file."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar
from uuid import UUID

from duckdb import DuckDBPyConnection

from martech.kernel.cursors import Overtaken, Place
from martech.modules.analytics.adapters.asking import Asking
from martech.modules.analytics.adapters.engine import File
from martech.modules.analytics.adapters.schema import ROWS_OF
from martech.modules.analytics.adapters.writing import Rows, follow
from martech.modules.analytics.domain import Kind
from martech.modules.delivery.contract import MessageFact
from martech.modules.profiles.contract import Activity, ProfilesMerged


class _Writing(Asking, Rows):
    """The store inside a transaction: what is kept is written at its end."""

    def __init__(self, file: File) -> None:
        Asking.__init__(self, file)
        Rows.__init__(self)


class DuckStore(Asking):
    """Is the module's `EventStore` and the kernel's `Engine`."""

    shareable: ClassVar[bool] = False

    def __init__(self, url: str) -> None:
        super().__init__(File(url))
        self._places: dict[str, Place] = {}
        """What the file says, for this process alone writes to it."""

    @staticmethod
    def kept_in(url: str) -> Path:
        return File(url).path

    def keep_activities(self, tenant: UUID, activities: Sequence[Activity]) -> None:
        raise _NothingHeard

    def keep_merges(self, tenant: UUID, merges: Sequence[ProfilesMerged]) -> None:
        raise _NothingHeard

    def keep_messages(self, tenant: UUID, kind: Kind, facts: Sequence[MessageFact]) -> None:
        raise _NothingHeard

    async def check(self) -> None:
        await asyncio.to_thread(self.file.check)

    async def place(self, subscription: str) -> Place:
        if subscription not in self._places:
            found = await self.file.write(lambda c: _place(c, subscription))
            self._places[subscription] = Place(*found[:2])
        return self._places[subscription]

    @asynccontextmanager
    async def moving(self, subscription: str, begin: Place, end: Place) -> AsyncIterator[_Writing]:
        writing = _Writing(self.file)
        yield writing

        def commit(connection: DuckDBPyConnection) -> None:
            label = _advance(connection, subscription, begin, end)
            if begin.item == 0:
                connection.execute("INSERT INTO steps VALUES (?, ?)", [subscription, label])
            writing.insert(connection, subscription, label)

        self._places.pop(subscription, None)  # until it is known how the commit ended
        await self.file.write(commit)
        self._places[subscription] = end

    @asynccontextmanager
    async def once(self, subscription: str, item: Place) -> AsyncIterator[_Writing]:
        writing = _Writing(self.file)
        yield writing

        def commit(connection: DuckDBPyConnection) -> None:
            writing.insert(connection, subscription, item.position - 1)
            connection.execute("INSERT INTO marks VALUES (?, ?, ?)", [subscription, *item])

        await self.file.write(commit)

    async def is_marked(self, subscription: str, item: Place) -> bool:
        query = "SELECT count(*) FROM marks WHERE subscription = ? AND position = ? AND item = ?"
        found = await self.file.write(lambda c: c.execute(query, [subscription, *item]).fetchall())
        return bool(found[0][0])

    async def unmark(self, subscription: str, item: Place) -> None:
        query = "DELETE FROM marks WHERE subscription = ? AND position = ? AND item = ?"
        await self.file.write(lambda c: c.execute(query, [subscription, *item]).fetchall())

    async def rewind(self, subscription: str, to: int) -> int:
        self._places.pop(subscription, None)
        return await self.file.write(lambda c: _rewind(c, subscription, to))

    async def close(self) -> None:
        await self.file.close()


_NothingHeard = RuntimeError(
    "Rows are kept by who hears of them, in a transaction, and never else."
)


def _advance(connection: DuckDBPyConnection, subscription: str, begin: Place, end: Place) -> int:
    """Move the cursor and return the label of what is written with it: a new one where a whole
    event begins. Raises `Overtaken` if the cursor is not at *begin*."""
    query = """
        UPDATE cursors SET position = $position, item = $item,
            label = CASE WHEN item = 0 THEN position ELSE label END
        WHERE subscription = $subscription AND position = $begin AND item = $begin_item
        RETURNING label
    """
    bound = {
        "subscription": subscription,
        "position": end.position,
        "item": end.item,
        "begin": begin.position,
        "begin_item": begin.item,
    }
    moved: list[tuple[int]] = connection.execute(query, bound).fetchall()
    if moved:
        return moved[0][0]
    if begin != (0, 0) or _known(connection, subscription):
        raise Overtaken
    connection.execute("INSERT INTO cursors VALUES (?, ?, ?, 0)", [subscription, *end])
    return 0


def _known(connection: DuckDBPyConnection, subscription: str) -> bool:
    query = "SELECT count(*) FROM cursors WHERE subscription = ?"
    return connection.execute(query, [subscription]).fetchall() != [(0,)]


def _place(connection: DuckDBPyConnection, subscription: str) -> tuple[int, int, int]:
    query = "SELECT position, item, label FROM cursors WHERE subscription = ?"
    found: list[tuple[int, int, int]] = connection.execute(query, [subscription]).fetchall()
    return found[0] if found else (0, 0, 0)


def _move(connection: DuckDBPyConnection, subscription: str, place: Place, label: int) -> None:
    connection.execute("DELETE FROM cursors WHERE subscription = ?", [subscription])
    connection.execute("INSERT INTO cursors VALUES (?, ?, ?, ?)", [subscription, *place, label])


def _rewind(connection: DuckDBPyConnection, subscription: str, to: int) -> int:
    """Back to the last step at or before *to*."""
    query = "SELECT max(label) FROM steps WHERE subscription = ? AND label <= ?"
    found: list[tuple[int | None]] = connection.execute(query, [subscription, to]).fetchall()
    label = found[0][0] or 0
    for table in ROWS_OF:
        connection.execute(
            f"DELETE FROM {table} WHERE subscription = ? AND label >= ?",
            [subscription, label],
        )
    connection.execute("UPDATE merges SET kept = told")
    follow(connection)
    connection.execute(
        "DELETE FROM steps WHERE subscription = ? AND label >= ?", [subscription, label]
    )
    connection.execute(
        "DELETE FROM marks WHERE subscription = ? AND position > ?", [subscription, label]
    )
    _move(connection, subscription, Place(label, 0), label)
    return label
