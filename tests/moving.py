"""The sample shop's data is moved, in the fewest words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.util import greenlet_spawn

from martech.kernel import failpoints, migrate
from martech.kernel.bus import Bus
from martech.kernel.host import Host
from martech.kernel.migrate import DatabaseUnfit
from martech.kernel.module import Module
from martech.kernel.moving import copying, move
from martech.kernel.moving.copying import Digest
from martech.kernel.settings import Settings
from tests import databases, servers
from tests.databases import SAMPLE
from tests.kitchen import order
from tests.sample.kitchen.domain import Bake
from tests.sample.shop.module import module as shop

TENANT, OTHER = UUID(int=1), UUID(int=2)
SALES = 2 * copying.PAGE + 50


def empty(kind: str, folder: Path) -> str:
    return servers.fresh_database() if kind == "postgresql" else f"sqlite:///{folder}/there"


def at(url: str, there: str | None = None, *modules: Module) -> Settings:
    """Everything at *url*, but for *modules* that are *there*."""
    return Settings(
        database_url=url, database_urls={module.name: there for module in modules if there}
    )


async def moving(
    before: Settings, after: Settings, module: Module = shop, **more: Any
) -> dict[str, Digest]:
    histories = databases.sample_migrations()
    return await move(module, before, after, unwatched, migrations=histories, **more)


def unwatched(name: str, done: int, of: int) -> None: ...


async def trade(url: str) -> None:
    """Of everything that moves there is some: rows, events, cursors, commands, audit entries."""
    async with Host(SAMPLE, at(url)) as host:
        for tenant in (TENANT, OTHER):
            async with host.unit("shop", tenant) as service:
                await service.sell(range(SALES))
                await service.change_price("gold\u00fc")
                service.tx.audit("shop.sell", "sales", number=1)
        await order(host, Bake(number=1), Bake(number=2))
        await Bus(host).settle()
        async with host.unit("shop", TENANT) as service:
            await service.change_price("tin")  # told, and not heard


async def everything(url: str, module: Module) -> dict[str, list[Mapping[str, Any]]]:
    """Every row of every table, as the module would read it."""

    def read(connection: Connection) -> dict[str, list[Mapping[str, Any]]]:
        return {
            each.name: sorted(
                (dict(row) for row in connection.execute(select(each)).mappings()), key=repr
            )
            for each in module.tables.sorted_tables
        }

    async with migrate.transaction(url, module.name, write=True) as connection:
        return await greenlet_spawn(read, connection)


async def lives(url: str, module: Module = shop) -> bool:
    """Whether whoever serves may begin there."""
    try:
        await migrate.check(module, url, databases.sample_migrations())
    except DatabaseUnfit:
        return False
    return True


async def broken_off(plan: str, url: str, there: str) -> None:
    failpoints.arm(plan)
    with pytest.raises(failpoints.Planned):
        await moving(at(url), at(there))
    failpoints.arm("")
