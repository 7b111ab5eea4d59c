"""A DuckDB file: one thread that writes, a few that answer, and limits for both.

DuckDB lets one process in, and its calls block; so they have threads of their own, and the event
loops only wait. What a question may cost is bounded in number, time and memory.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from os import cpu_count
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import duckdb
from duckdb import DuckDBPyConnection
from msgspec import Struct, ValidationError, convert

from martech.kernel.errors import Timeout, Unavailable
from martech.modules.analytics.adapters.schema import TABLES, VERSION
from martech.modules.analytics.adapters.turns import Turns

T = TypeVar("T")

OUTSIDE = (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.FatalException)
"""It is the machine, not what was written or asked."""


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """What may stand behind the ? of the URL."""

    memory_mb: int = 256
    threads: int = min(4, cpu_count() or 1)
    questions: int = 2
    """Answered at once, each of another tenant."""

    seconds: float = 20.0
    """For a question, waiting included."""


JOINED = 0
"""Groups of rows that a checkpoint joins to larger ones. It would do so with what the last few
wrote: of events a hundred megabytes for a moment, and as much work again as to write them. One that
16 MB of log have filled is read as fast, and one whose rows are all deleted is gone all the same.
"""

AGAIN = 0.05
"""Seconds. Between two statements of a question there is nothing to break off: try again."""


class File:
    """Opened when it is first used."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.netloc or len(parts.path) < 2:
            raise ValueError("it names no file; write duckdb:///var/martech/analytics.duckdb.")
        try:
            self.options = convert(dict(parse_qsl(parts.query)), Options, strict=False)
        except ValidationError as exc:
            raise ValueError(f"{exc}; there are {', '.join(Options.__struct_fields__)}.") from None
        self.path = Path(parts.path[1:])
        self._opening = threading.Lock()
        self._file: DuckDBPyConnection | None = None
        self._writer = ThreadPoolExecutor(1, "analytics writes")
        self._turns = Turns(self.options.questions)

    async def write(self, do: Callable[[DuckDBPyConnection], T]) -> T:
        """Have *do* done in a transaction that nobody else's is beside; all of it or nothing.
        Whoever is cancelled while waiting knows not which."""
        return await asyncio.wrap_future(self._writer.submit(self._write, do))

    async def ask(self, tenant: UUID, do: Callable[[DuckDBPyConnection], T]) -> T:
        """Have *do* answered from one moment's state of things. It is broken off when it takes too
        long or nobody waits for it any more."""
        running: list[DuckDBPyConnection] = []
        answer = self._turns.ask(tenant, lambda: self._ask(do, running))
        try:
            async with asyncio.timeout(self.options.seconds):
                return await asyncio.wrap_future(answer)
        except TimeoutError:
            raise Timeout(
                f"The question was not answered in {self.options.seconds:g} s. Ask for less with "
                "from and to, or give the store more with its URL: ?seconds=60&threads=8."
            ) from None
        finally:
            _break_off(answer, running)

    def check(self) -> None:
        """Raise `Unavailable` unless it answers."""
        try:
            with self._translated(), self._connection().cursor() as connection:
                connection.execute("SELECT count(*) FROM cursors").fetchall()
        except duckdb.Error as exc:
            raise Unavailable(f"The store {self.path} cannot be asked: {_said(exc)}") from exc

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _write(self, do: Callable[[DuckDBPyConnection], T]) -> T:
        with self._translated():
            connection = self._connection()
            connection.begin()
            try:
                done = do(connection)
                connection.commit()
            except BaseException:
                _roll_back(connection)
                raise
            return done

    def _ask(self, do: Callable[[DuckDBPyConnection], T], running: list[DuckDBPyConnection]) -> T:
        with self._translated(), self._connection().cursor() as connection:
            running.append(connection)
            try:
                connection.begin()
                return do(connection)
            finally:
                running.clear()
                _roll_back(connection)

    def _connection(self) -> DuckDBPyConnection:
        with self._opening:
            if self._file is None:
                self._file = _open(self.path, self.options)
            return self._file

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OUTSIDE as exc:
            if isinstance(exc, duckdb.FatalException):  # of no use any more; opened anew next time
                self._forget()
            # memory may be what the question beside it holds: asked again, it may fit
            wait = 2 if isinstance(exc, duckdb.OutOfMemoryException) else None
            raise Unavailable(
                f"The store {self.path} cannot do it: {_said(exc)}", retry_after=wait
            ) from exc

    def _forget(self) -> None:
        with self._opening:
            if self._file is not None:
                self._file.close()
            self._file = None

    def _close(self) -> None:
        self._turns.close()
        self._writer.shutdown()
        self._forget()


def _break_off(answer: "Future[T]", running: Sequence[DuckDBPyConnection]) -> None:
    """Until it has ended."""
    if answer.done():
        return
    for connection in tuple(running):
        with suppress(duckdb.ConnectionException):  # it ended this very moment
            connection.interrupt()
    asyncio.get_running_loop().call_later(AGAIN, _break_off, answer, running)


def _open(path: Path, options: Options) -> DuckDBPyConnection:
    """Open it, and make it where there is none. It reads and fetches nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(
        str(path),
        config={
            "memory_limit": f"{options.memory_mb}MB",
            "threads": options.threads,
            "preserve_insertion_order": False,
            "max_vacuum_tasks": JOINED,
            "enable_external_access": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    connection.execute("SET lock_configuration = true")
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: DuckDBPyConnection, path: Path) -> None:
    if connection.execute("SELECT count(*) FROM information_schema.tables").fetchall() == [(0,)]:
        connection.begin()
        for statement in TABLES:
            connection.execute(statement)
        connection.commit()
    try:
        found = connection.execute("SELECT number FROM version").fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):
        raise Unavailable(
            f"The file {path} is somebody else's: it has tables, and is no store of martech. Name "
            "another one by MARTECH_ANALYTICS_STORE_URL."
        ) from None
    if found != [(VERSION,)]:
        raise Unavailable(
            f"The store {path} was made by another version of martech ({found}; this one needs "
            f"{VERSION}). Run that version, or put the file elsewhere: it is built anew from the "
            "outboxes."
        )


def _roll_back(connection: DuckDBPyConnection) -> None:
    """Give up its transaction, if it still has one."""
    try:
        connection.rollback()
    except duckdb.Error:
        return


def _said(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
