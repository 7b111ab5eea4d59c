"""Group commit: many answers, one transaction, and no answer before it is durable."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncConnection

from martech.kernel.db import Transaction
from martech.kernel.errors import TooMany, Unavailable
from martech.kernel.grouping import Groups
from martech.kernel.host import Host
from martech.kernel.outbox import Publisher
from martech.kernel.settings import Settings
from tests import databases
from tests.sample.shop.service import ShopService

pytestmark = pytest.mark.anyio

TENANT, OTHER = uuid4(), uuid4()


class Gate(Publisher):
    """A commit that waits to be let through, and counts."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.commits: list[int] = []
        """How many rows each transaction told."""

    async def append(
        self, connection: AsyncConnection, metadata: MetaData, rows: Sequence[dict[str, Any]]
    ) -> None:
        await super().append(connection, metadata, rows)
        self.commits.append(len(rows))
        self.reached.set()
        await self.open.wait()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def host(sample_url: str, gate: Gate) -> AsyncIterator[Host]:
    settings = Settings(database_url=sample_url)
    async with Host(databases.SAMPLE, settings, publisher=gate) as host:
        yield host
        gate.open.set()


@pytest.fixture
async def groups(host: Host) -> AsyncIterator[Groups]:
    groups = Groups(host.databases["shop"], lambda tx: host.service("shop", tx))
    yield groups
    await groups.close()


async def sold(host: Host, tenant: UUID = TENANT) -> int:
    async with host.unit("shop", tenant, write=False) as shop:
        return 1000 - int((await shop.stock()).left)


async def test_there_is_no_answer_before_the_commit(host: Host, groups: Groups, gate: Gate) -> None:
    group = groups.of(ShopService.sell_each)
    answer = asyncio.create_task(group.submit(TENANT, 1))
    await gate.reached.wait()
    assert not answer.done()
    assert await sold(host) == 0, "written, not committed"
    gate.open.set()
    assert await answer == 1
    assert await sold(host) == 1


async def test_those_who_come_together_are_committed_together_and_each_hears_its_own(
    host: Host, groups: Groups, gate: Gate
) -> None:
    gate.open.set()
    group = groups.of(ShopService.sell_each)
    await group.submit(TENANT, 7)
    answers = await asyncio.gather(*(group.submit(TENANT, number) for number in range(50)))
    assert answers == [int(number != 7) for number in range(50)]
    assert len(gate.commits) == 2
    assert await sold(host) == 50


async def test_a_group_is_no_larger_than_it_may_be(groups: Groups, gate: Gate) -> None:
    gate.open.set()
    group = groups.of(ShopService.sell_each, most=10)
    await asyncio.gather(*(group.submit(TENANT, number) for number in range(45)))
    assert len(gate.commits) == 5


async def test_tenants_share_a_commit_and_nothing_else(
    host: Host, groups: Groups, gate: Gate
) -> None:
    gate.open.set()
    group = groups.of(ShopService.sell_each)
    mine = [group.submit(TENANT, number) for number in range(5)]
    theirs = [group.submit(OTHER, number) for number in range(3)]
    assert await asyncio.gather(*mine, *theirs) == [1] * 8
    assert gate.commits == [2], "one commit, one event for each tenant"
    assert (await sold(host), await sold(host, OTHER)) == (5, 3)


async def test_tenants_are_written_in_one_order_whoever_came_first(host: Host, gate: Gate) -> None:
    gate.open.set()
    written: list[UUID] = []

    def service(tx: Transaction) -> ShopService:
        written.append(tx.tenant)
        return ShopService(tx)

    group = Groups(host.databases["shop"], service).of(ShopService.sell_each)
    first, second = sorted([TENANT, OTHER])
    await asyncio.gather(group.submit(second, 1), group.submit(first, 1))
    assert written == [first, second], "or two processes would wait for each other's rows"


async def test_one_bad_item_fails_alone(host: Host, groups: Groups, gate: Gate) -> None:
    async def refuses_13(shop: ShopService, numbers: Sequence[int]) -> list[int]:
        new = await shop.sell_each(numbers)
        if 13 in numbers:
            raise ValueError("thirteen")
        return new

    gate.open.set()
    group = groups.of(refuses_13)
    answers = await asyncio.gather(
        *(group.submit(TENANT, number) for number in range(30)), return_exceptions=True
    )
    assert isinstance(answers.pop(13), ValueError)
    assert answers == [1] * 29
    assert await sold(host) == 29


async def test_when_the_database_is_away_everybody_hears_so_at_once(groups: Groups) -> None:
    asked: list[int] = []

    async def away(shop: ShopService, numbers: Sequence[int]) -> list[int]:
        asked.append(len(numbers))
        raise Unavailable("The shop is closed.")

    group = groups.of(away)
    answers = await asyncio.gather(
        *(group.submit(TENANT, number) for number in range(20)), return_exceptions=True
    )
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert asked == [20], "halves would not fare better"


async def test_who_comes_when_it_is_full_is_refused(groups: Groups, gate: Gate) -> None:
    group = groups.of(ShopService.sell_each, limit=2)
    first = asyncio.create_task(group.submit(TENANT, 1))
    await gate.reached.wait()
    waiting = [asyncio.create_task(group.submit(TENANT, number)) for number in (2, 3)]
    await asyncio.sleep(0)
    with pytest.raises(TooMany) as refused:
        await group.submit(TENANT, 4)
    assert refused.value.retry_after
    gate.open.set()
    assert await asyncio.gather(first, *waiting) == [1, 1, 1]


async def test_one_tenant_keeps_nobody_else_out(groups: Groups, gate: Gate) -> None:
    group = groups.of(ShopService.sell_each, limit=32)
    coming = [asyncio.create_task(group.submit(TENANT, 0))]
    await gate.reached.wait()
    many = [*[TENANT] * 25, *[OTHER] * 3, *(uuid4() for _ in range(8))]
    coming += [asyncio.create_task(group.submit(tenant, 1)) for tenant in many]
    await asyncio.sleep(0)
    gate.open.set()
    answers = await asyncio.gather(*coming, return_exceptions=True)
    refused = [isinstance(answer, TooMany) for answer in answers[1:]]
    assert refused[:25] == [False] * 24 + [True]
    assert refused[25:28] == [False] * 2 + [True], "who has few finds room"
    assert refused[28:] == [False] * 6 + [True] * 2, "and all together have an end"


async def test_whoever_leaves_holds_up_nobody(host: Host, groups: Groups, gate: Gate) -> None:
    group = groups.of(ShopService.sell_each)
    leaves = asyncio.create_task(group.submit(TENANT, 1))
    stays = asyncio.create_task(group.submit(TENANT, 2))
    await gate.reached.wait()
    leaves.cancel()
    gate.open.set()
    assert await stays == 1
    assert await sold(host) == 2, "what was handed over is written, heard of or not"


async def test_closing_commits_what_waits(host: Host, groups: Groups, gate: Gate) -> None:
    gate.open.set()
    group = groups.of(ShopService.sell_each)
    waiting = asyncio.create_task(group.submit(TENANT, 1))
    await asyncio.sleep(0)
    await groups.close()
    assert waiting.done()
    assert await sold(host) == 1
