"""M11: every projection is made anew from 0 beside live traffic: the same rows, nothing outside."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from martech.kernel import shadow
from martech.kernel.bus import Bus
from martech.kernel.bus.unfold import Heard
from martech.kernel.columns import table
from martech.kernel.cursors import Place
from martech.kernel.db import Unit
from martech.kernel.host import Host
from martech.kernel.module import Module
from martech.kernel.settings import Settings
from martech.kernel.shadow.delivery import ShadowDelivery
from martech.modules.tracking.contract import EventsTracked
from tests import databases
from tests.chaos.history import GuaranteeBroken, insist
from tests.databases import product
from tests.modules.profiles.items import item

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

ACME, GLOBEX = UUID(int=7), UUID(int=8)
"""One whose history is over, and one who goes on."""


def projections() -> list[tuple[Module, str, Sequence[Table]]]:
    return [
        (module, f"{module.name}.{projection.of.name}", projection.tables)
        for module in product()
        for projection in module.projections
    ]


async def track(host: Host, tenant: UUID, numbers: range) -> None:
    """Of a few people, some of whom turn out to be one."""
    for start in range(numbers.start, numbers.stop, 10):
        items = [
            item(
                n,
                "identify" if n % 3 == 0 else "track",
                f"user {n % 7}" if n % 3 == 0 else None,
                f"device {n % 11}",
                traits={"email": f"{n % 7}@example.com"} if n % 3 == 0 else None,
                received=n,
            )
            for n in range(start, min(start + 10, numbers.stop))
        ]
        async with host.databases["tracking"].transaction(tenant) as tx:
            tx.publish(EventsTracked(items=items))


@asynccontextmanager
async def going_on(host: Host) -> AsyncIterator[None]:
    running = asyncio.create_task(Bus(host).run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def digests(host: Host, tenant: UUID) -> dict[str, str]:
    """Of the rows of each table that can be made anew."""
    found = {}
    for module, _, tables in projections():
        async with host.databases[module.name].across(write=False) as connection:
            for one in tables:
                mine = select(one).where(one.c.tenant == tenant)
                rows = await connection.execute(mine.order_by(*one.primary_key.columns))
                encoded = msgspec.json.encode([repr(tuple(row)) for row in rows])
                found[str(one)] = hashlib.sha256(encoded).hexdigest()
    return found


async def outside(host: Host) -> Counter[str]:
    """Everything that was told, or is to be done, by each module."""
    counted = Counter[str]()
    for name, database in host.databases.items():
        for kind in ("outbox", "commands"):
            rows = table(database.metadata, kind)
            async with database.across(write=False) as connection:
                number = await connection.execute(select(func.count()).select_from(rows))
                counted[f"{name}.{kind}"] = number.scalar_one()
    return counted


async def rebuild_all(host: Host) -> int:
    """Each in turn; how far the live ones went on between beginning and swap, in positions."""
    heard = 0
    for _, name, _ in projections():
        ends: list[int] = []
        await shadow.rebuild(host, name, partial(_note, ends), batch=10)
        heard += ends[-1] - ends[0]
    return heard


def _note(ends: list[int], reached: int, end: int) -> None:
    ends.append(end)


async def make_anew(url: str, events: int) -> None:
    async with Host(product(), Settings(database_url=url)) as host:
        await track(host, ACME, range(events))
        await Bus(host).settle()
        before = await digests(host, ACME)
        async with going_on(host), asyncio.TaskGroup() as tasks:
            tasks.create_task(track(host, GLOBEX, range(events)))
            heard = await rebuild_all(host)
        await Bus(host).settle()
        live, said = await digests(host, GLOBEX), await outside(host)
        told = said["tracking.outbox"]
        insist(faults=heard, wanted=1, tried=told, planned=2 * events // 10)
        if await digests(host, ACME) != before:
            raise GuaranteeBroken("what was made anew beside live traffic is another")
        await rebuild_all(host)
        if await digests(host, GLOBEX) != live:
            raise GuaranteeBroken("what was written beside a shadow is another")
        if await outside(host) != said:
            raise GuaranteeBroken("something was told, or is to be done, a second time")


async def test_every_projection_is_made_anew_beside_live_traffic(
    product_url: str, full: bool
) -> None:
    assert len(projections()) >= 3, "there is something to be made anew"
    await make_anew(product_url, 5_000 if full else 120)


class SkipsOne(ShadowDelivery):
    """The defect: the first thing that it hears is passed over."""

    skipped = False

    async def _hold_back(
        self, unit: Unit, connection: AsyncConnection, heard: Sequence[Heard], place: Place
    ) -> Sequence[Heard]:
        mine = await super()._hold_back(unit, connection, heard, place)
        if mine and not self.skipped:
            self.skipped = True
            return mine[1:]
        return mine


@pytest.mark.whole
@pytest.mark.planted
async def test_a_shadow_that_skips_one_item_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "ShadowDelivery", SkipsOne)
    with pytest.raises(GuaranteeBroken, match="what was made anew beside live traffic is another"):
        await make_anew(databases.fresh("sqlite", product(), tmp_path), 120)
