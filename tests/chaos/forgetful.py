"""Queries that forget their tenant: the first wall, torn down in every statement of a module.

Whatever a module runs for a tenant loses its ``tenant = …`` on the way to the database. The second
wall stands behind (row-level security) or in the way (SQLite's check), or is torn down as well:
then the canaries get out, which shows that the test would see it.

As a plugin (``pytest -p tests.chaos.forgetful``) it does so to a whole suite. On PostgreSQL the
suite passes all the same: what the queries forget, the database does not. A run in which no query
forgot anything fails: it shows nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import Column, Connection, Engine, Executable, event, true
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression, BindParameter, ClauseElement

from martech.kernel.host import Host

Execution = tuple[Any, Sequence[Mapping[str, Any]], Mapping[str, Any]]


class Forgetting:
    """How often a tenant was forgotten."""

    def __init__(self) -> None:
        self.statements = 0

    def __call__(
        self,
        connection: Connection,
        statement: Executable,
        many: Sequence[Mapping[str, Any]],
        one: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> Execution:
        if isinstance(options.get("scope"), UUID) and isinstance(statement, ClauseElement):
            forgot = visitors.replacement_traverse(statement, {}, _without_tenant)
            if str(forgot) != str(statement):
                self.statements += 1
                return forgot, many, one
        return statement, many, one


def _without_tenant(element: Any, **_: Any) -> Any:
    if (
        isinstance(element, BinaryExpression)
        and element.operator is operators.eq
        and isinstance(element.left, Column)
        and element.left.name == "tenant"
        and isinstance(element.right, BindParameter)
    ):
        return true()
    return None


@contextmanager
def before_the_wall() -> Iterator[Forgetting]:
    """Every engine forgets; SQLite's check sees what it is about to run."""
    forgetting = Forgetting()
    event.listen(Engine, "before_execute", forgetting, retval=True)
    try:
        yield forgetting
    finally:
        event.remove(Engine, "before_execute", forgetting)


@contextmanager
def behind_the_wall(host: Host) -> Iterator[Forgetting]:
    """*host*'s engines forget after SQLite's check has looked, as if there were none."""
    forgetting = Forgetting()
    engines = [database.engine.sync_engine for database in host.databases.values()]
    for engine in engines:
        event.listen(engine, "before_execute", forgetting, retval=True)
    try:
        yield forgetting
    finally:
        for engine in engines:
            event.remove(engine, "before_execute", forgetting)


async def own_without_force(host: Host, url: str) -> None:
    """Give the modules' roles their tables, and spare owners row-level security."""
    connection = await asyncpg.connect(urlunsplit(urlsplit(url)))
    try:
        for name, module in host.modules.items():
            for table in module.tables.tables:
                schema, _, bare = table.partition(".")
                await connection.execute(f'ALTER TABLE "{schema}"."{bare}" OWNER TO "{name}"')
                await connection.execute(
                    f'ALTER TABLE "{schema}"."{bare}" NO FORCE ROW LEVEL SECURITY'
                )
    finally:
        await connection.close()


FORGETTING = pytest.StashKey[Forgetting]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FORGETTING] = Forgetting()
    event.listen(Engine, "before_execute", config.stash[FORGETTING], retval=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.stash[FORGETTING].statements:
        pytest.exit("No query forgot its tenant.", returncode=pytest.ExitCode.TESTS_FAILED)
