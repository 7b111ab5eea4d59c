"""An engine for one module's schema, on SQLite or on PostgreSQL.

On SQLite a connection is ``:memory:`` with that module's one file attached under the module's
name: the same schema-qualified SQL runs on both databases, and a neighbour's table does not
exist there. On PostgreSQL a connection takes the module's own role.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from pathlib import Path
from sqlite3 import SQLITE_BUSY, OperationalError
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import AsyncAdaptedQueuePool, Connection, event, make_url
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.elements import ClauseElement

from martech.kernel import tenancy
from martech.kernel.db import inline  # noqa: F401 - by being imported it is known to create_async_engine
from martech.kernel.db.hiding import hide
from martech.kernel.db.scoped import ScopedConnection

BUSY_SECONDS = 0.02  # how long a statement may hold up its event loop for another process's lock
OPENING_SECONDS = 5.0  # a process that ends folds its log into the file; whoever opens it waits
OPENING_PAUSE = 0.005  # seconds between attempts

RESTED_SECONDS = 1.0  # after which a connection may have been closed by the other side

IN_USE = "SELECT pg_try_advisory_lock_shared(hashtext('martech.in_use'), hashtext($1))"

SQLITE_PASSING = {5, 6, 8, 10, 13, 14}  # busy, locked, read-only, I/O error, disk full, cannot open
POSTGRESQL_PASSING = ("08", "40", "53", "57", "58")  # connection, rollback, resources, operator


def sqlite_file(url: str, module: str) -> Path:
    """``sqlite:///var/martech`` keeps the module ``access`` in ``var/martech/access.db``."""
    return Path(urlsplit(url).path[1:]) / f"{module}.db"


def is_sqlite(url: str) -> bool:
    return url.startswith("sqlite")


def is_passing(error: DBAPIError) -> bool:
    """Whether the database, and not the statement, is to blame: the same may work later."""
    code = getattr(error.orig, "sqlstate", None)
    if code is not None:
        return str(code).startswith(POSTGRESQL_PASSING)
    cause = getattr(error.orig, "sqlite_errorcode", None)
    return error.connection_invalidated or (cause is not None and cause & 0xFF in SQLITE_PASSING)


def is_busy(error: DBAPIError) -> bool:
    """Whether another process holds SQLite's one write lock."""
    return (getattr(error.orig, "sqlite_errorcode", None) or 0) & 0xFF in (5, 6)


def create_engine(url: str, module: str) -> AsyncEngine:
    if not is_sqlite(url):
        return _postgresql(url, module, {"role": module})
    return _sqlite(partial(_attach, sqlite_file(url, module), module))


def create_owners_engine(url: str, module: str) -> AsyncEngine:
    """An engine that may change the schema. (On SQLite everybody may.)"""
    return create_engine(url, module) if is_sqlite(url) else _postgresql(url, module, {})


def create_shadow_engine(url: str, module: str) -> AsyncEngine:
    """An engine that sees the module's schema, and its shadow. On SQLite the module's own file can
    only be read by it: who writes there is not waited for."""
    if not is_sqlite(url):
        return create_engine(url, module)
    own, shadow = sqlite_file(url, module), sqlite_file(url, shadow_of(module))

    def attach(connection: Any, record: object) -> None:
        connection.isolation_level = None
        read = f"{own.absolute().as_uri()}?mode=ro"
        connection.execute(f'ATTACH DATABASE ? AS "{module}"', (read,))
        connection.execute(f'ATTACH DATABASE ? AS "{shadow_of(module)}"', (str(shadow),))
        log_ahead(connection, shadow_of(module))
        connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000:.0f}")

    return _sqlite(attach)


def shadow_of(module: str) -> str:
    """The schema in which a module's projections are made anew."""
    return f"{module}_shadow"


def _postgresql(url: str, module: str, settings: Mapping[str, str]) -> AsyncEngine:
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        connect_args={
            "server_settings": {**settings, "application_name": f"martech {module}"},
            "connection_class": ScopedConnection,
        },
        hide_parameters=True,
        pool_size=5,
        max_overflow=10,
        pool_timeout=10,
    )
    event.listen(engine.sync_engine, "connect", partial(_in_use, module))
    event.listen(engine.sync_engine, "begin", _for_whom)
    event.listen(engine.sync_engine, "handle_error", hide)
    event.listen(engine.sync_engine, "checkin", _returned)
    event.listen(engine.sync_engine, "checkout", _still_there)
    return engine


def _in_use(name: str, connection: Any, record: ConnectionPoolEntry) -> None:
    """As long as the connection is there, nobody moves the data away (`migrate.transaction`)."""
    cursor = connection.cursor()
    cursor.execute(IN_USE, (name,))
    granted = cursor.fetchone()[0]
    cursor.close()
    connection.rollback()  # the lock is the session's
    if not granted:
        connection.close()
        raise ConnectionRefusedError(f"The data of {name} is being moved.")


def _for_whom(connection: Connection) -> None:
    raw: Any = connection.connection.driver_connection
    raw.scope = connection.get_execution_options().get("begins_for")


def _returned(connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["returned"] = monotonic()


def _still_there(connection: Any, record: ConnectionPoolEntry, proxy: object) -> None:
    """Ask only whoever has rested: a ping is three messages to the server and back, and what was
    in use a moment ago is there. (If it is not, that unit of work is `Unavailable` and SQLAlchemy
    drops all others of the pool.)"""
    if monotonic() - record.info.get("returned", inf) < RESTED_SECONDS:
        return
    try:
        connection.ping()
    except connection.dbapi.Error as exc:
        raise InvalidatePoolError from exc


def _sqlite(attach: Callable[[Any, object], None]) -> AsyncEngine:
    engine = create_async_engine(
        "sqlite+inline:///:memory:",
        connect_args={"timeout": BUSY_SECONDS, "uri": True},
        poolclass=AsyncAdaptedQueuePool,
        hide_parameters=True,
        pool_size=4,
        pool_use_lifo=True,  # what another connection has written empties a connection's cache
        max_overflow=12,
        pool_timeout=10,
    )

    events = engine.sync_engine
    event.listen(events, "connect", attach)
    event.listen(events, "begin", _to_write_or_not)
    event.listen(events, "before_execute", _wall)
    return engine


def _attach(file: Path, module: str, connection: Any, record: object) -> None:
    if not file.is_file():  # ATTACH would make an empty one, and hide a wrong path
        raise FileNotFoundError(f"{file} does not exist; run `martech migrate` first.")
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={OPENING_SECONDS * 1000:.0f}")
    cursor.execute(f'ATTACH DATABASE ? AS "{module}"', (str(file),))
    log_ahead(connection, module)
    for pragma in ("synchronous=FULL", "wal_autocheckpoint=1000"):
        cursor.execute(f'PRAGMA "{module}".{pragma}')
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000:.0f}")
    cursor.close()


def log_ahead(connection: Any, schema: str, patience: float = OPENING_SECONDS) -> None:
    """Have the file keep a write-ahead log, which it then does for good.

    Of two that open a new one together SQLite refuses one at once, whatever its busy timeout is:
    neither could have the file alone while both wait. So it tries again, for *patience* seconds.
    """
    give_up = monotonic() + patience
    while True:
        try:
            connection.execute(f'PRAGMA "{schema}".journal_mode=WAL')
        except OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != SQLITE_BUSY or monotonic() > give_up:
                raise
            sleep(OPENING_PAUSE)
        else:
            return


def _to_write_or_not(connection: Connection) -> None:
    raw: Any = connection.connection.dbapi_connection
    raw.writes = connection.get_execution_options().get("write", True)


def _wall(
    connection: Connection,
    statement: ClauseElement,
    many: list[dict[str, object]],
    one: dict[str, object],
    options: dict[str, Any],
) -> None:
    tenancy.check(statement, many or ([one] if one else []), options.get("scope"))
