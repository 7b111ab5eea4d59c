"""The sample kitchen's commands in somebody's hands."""

from datetime import timedelta
from uuid import UUID

from martech.kernel.commands import Commands, Lease
from martech.kernel.host import Host
from tests.kitchen import rows


async def lease(host: Host, commands: Commands, id_: UUID | None = None) -> Lease | None:
    async with host.databases["kitchen"].unit() as unit:
        return await commands.lease(unit, id_ or (await rows(host))[0]["id"])


async def held(host: Host, commands: Commands, id_: UUID | None = None) -> Lease:
    taken = await lease(host, commands, id_)
    assert taken is not None
    return taken


async def due(host: Host, commands: Commands, window: int = 100) -> list[UUID]:
    async with host.databases["kitchen"].unit() as unit:
        return await commands.due(unit, window)


async def settle(host: Host, commands: Commands, lease: Lease) -> None:
    async with host.databases["kitchen"].unit() as unit:
        await commands.settle(unit, lease)


async def fail(host: Host, commands: Commands, lease: Lease) -> bool:
    async with host.databases["kitchen"].unit() as unit:
        return await commands.fail(unit, lease, "no flour")


async def postpone(host: Host, commands: Commands, lease: Lease, by: timedelta) -> None:
    async with host.databases["kitchen"].unit() as unit:
        await commands.postpone(unit, lease, "the mill is closed", by)
