"""The sample kitchen at work: order something, and see what was done."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from martech.kernel.columns import table
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.messages import Command
from tests.sample.kitchen.adapters import Street

TENANT, OTHER = UUID(int=1), UUID(int=2)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

Open = Callable[..., Awaitable[Host]]
"""Opens a host."""


async def order(
    host: Host,
    *commands: Command,
    at: datetime | None = None,
    key: str | None = None,
    tenant: UUID = TENANT,
) -> None:
    async with host.unit("kitchen", tenant) as kitchen:
        await kitchen.order(*commands, at=at, key=key)


async def log(host: Host, tenant: UUID = TENANT) -> list[str]:
    """What was done, in the order of doing."""
    async with host.unit("kitchen", tenant, write=False) as kitchen:
        lines: list[str] = await kitchen.log()
        return lines


async def rows(host: Host) -> list[Mapping[str, Any]]:
    """The commands as they stand, in the order in which they were enqueued."""
    database = host.databases["kitchen"]
    async with database.across(write=False) as connection:
        commands = table(database.metadata, "commands")
        found = await connection.execute(select(commands).order_by(commands.c.id))
        return [dict(row) for row in found.mappings()]


def street(host: Host) -> Street:
    found = host.resources["kitchen"][Street]
    assert isinstance(found, Street)
    return found


@asynccontextmanager
async def running(jobs: Jobs) -> AsyncIterator[asyncio.Task[None]]:
    """The jobs at work in the background; when the block ends they are told to stop."""
    task = asyncio.create_task(jobs.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            raise error
