"""What needs a person is listed, and can be tried again; a subscription can hear all again."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from martech.kernel import parked
from martech.kernel.bus import Bus
from martech.kernel.bus.replay import replay
from martech.kernel.columns import table
from martech.kernel.errors import NotFound
from martech.kernel.host import Host
from martech.kernel.parked import Wanted
from tests.kitchen import order, rows
from tests.sample.kitchen.domain import Bake
from tests.sample.ledger.service import LedgerService

pytestmark = pytest.mark.anyio

TENANT = uuid4()


async def sell(host: Host, *numbers: int) -> None:
    async with host.unit("shop", TENANT) as shop:
        await shop.sell(numbers)


async def lines(host: Host) -> list[int]:
    async with host.unit("ledger", TENANT, write=False) as ledger:
        return [number for _, number in await ledger.read()]


async def test_a_parked_item_is_listed_and_tried_again(
    sample: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: LedgerService, what: object, numbers: object) -> None:
        raise ZeroDivisionError("not today")

    await sell(sample, 7)
    with monkeypatch.context() as broken:
        broken.setattr(LedgerService, "write", refuse)
        await Bus(sample, patience=1).settle()
    assert await lines(sample) == []
    (one,) = await parked.parked(sample)
    assert (one.module, one.what, one.tenant, one.attempts) == ("ledger", "item", TENANT, 1)
    assert one.id.startswith("write_sales_down:")
    assert "not today" in one.error
    await parked.retry(sample, "ledger", one.id)
    assert await parked.parked(sample) == []
    await Bus(sample).settle()
    assert await lines(sample) == [7]
    with pytest.raises(NotFound):
        await parked.retry(sample, "ledger", one.id)


@pytest.mark.parametrize(
    ("module", "id_"),
    [
        ("ledger", "x"),
        ("ledger", str(UUID(int=7))),
        ("ledger", "write_sales_down:1:0"),
        ("ledger", "write_sales_down:one:0"),
        ("ledger", f"write_sales_down:{2**63}:0"),
        ("ledger", "write_sales_down:1:0:0"),
    ],
)
async def test_what_is_not_parked_cannot_be_tried_again(
    sample: Host, module: str, id_: str
) -> None:
    with pytest.raises(NotFound, match="list the parked ones"):
        await parked.retry(sample, module, id_)


async def test_a_module_that_is_not_here_is_told_which_are(sample: Host) -> None:
    with pytest.raises(NotFound, match="There are: kitchen, ledger, shop"):
        await parked.retry(sample, "nobody", "x")


async def test_a_subscription_hears_its_source_again(sample: Host) -> None:
    await sell(sample, 1, 2)
    await sell(sample, 3)
    await Bus(sample).settle()
    first, _ = await sample.feed("shop").read(after=0, types=["shop.sold.v1"])
    await replay(sample, "ledger.write_sales_down", first.position)
    await Bus(sample).settle()
    assert await lines(sample) == [1, 2, 3, 3]
    with pytest.raises(NotFound, match=r"ledger\.write_price_down"):
        await replay(sample, "ledger.nothing", 0)


async def test_of_all_commands_those_stay_of_which_a_newer_one_is_open(
    sample: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parked, "PORTION", 2)
    for key in ("bread", "rolls", "cake"):
        await order(sample, Bake(number=1), key=key)
    database = sample.databases["kitchen"]
    async with database.across() as connection:
        given_up = update(table(database.metadata, "commands"))
        await connection.execute(given_up.values(parked_at=sample.clock.now(), error="no flour"))
    await order(sample, Bake(number=1), key="rolls")
    async with parked.opened(sample, "kitchen") as things:
        assert await things.retry_all(Wanted(type="kitchen.bake.v1")) == 2
    (one,) = await parked.parked(sample)
    waiting = {row["key"]: row["parked_at"] for row in await rows(sample) if row["parked_at"]}
    assert (one.what, list(waiting)) == ("command", ["rolls"])
