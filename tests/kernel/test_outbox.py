"""What a module has said: in order, whole, and in bounded pieces."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import delete, func, select

from martech.kernel import outbox
from martech.kernel.columns import table
from martech.kernel.host import Host
from martech.kernel.messages import FOLD, wire_name
from martech.kernel.outbox import Origin, Recorded
from tests.sample.shop.contract import PriceChanged, Sale, Sold

pytestmark = pytest.mark.anyio

TENANT = uuid4()
SOLD, CHANGED = wire_name(Sold), wire_name(PriceChanged)


async def tell(host: Host, *events: Sold | PriceChanged, origin: Origin | None = None) -> None:
    """Each in a transaction of its own."""
    for event in events:
        async with host.unit("shop", TENANT, origin=origin) as shop:
            shop.tx.publish(event)


def sale(*numbers: int) -> Sold:
    return Sold(items=[Sale(buyer="ada", number=number) for number in numbers])


async def read(
    host: Host, types: Sequence[str] = (SOLD,), *, after: int = 0, **limits: int
) -> list[Recorded]:
    database = host.databases["shop"]
    async with database.across(write=False) as connection:
        return await outbox.read(connection, database.metadata, after=after, types=types, **limits)


def numbers(records: Sequence[Recorded]) -> list[int]:
    folded = [msgspec.json.decode(record.data, type=Sold) for record in records]
    return [item.number for sold in folded for item in sold.items]


async def test_what_is_told_stands_there_as_a_cloudevent(sample: Host) -> None:
    origin = Origin(uuid4(), uuid4(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    await tell(sample, PriceChanged(article="glass", version=3), origin=origin)
    (record,) = await read(sample, [CHANGED])
    assert record.source == "/martech/shop"
    assert record.type == "shop.price_changed.v1"
    assert record.subject == "glass"
    assert record.tenant == TENANT
    assert record.id.version == 7
    assert record.time.utcoffset() is not None
    assert (record.correlationid, record.causationid, record.traceparent) == origin
    assert msgspec.json.decode(record.data) == {"article": "glass", "version": 3}


async def test_one_transaction_tells_in_the_order_of_its_saying(sample: Host) -> None:
    async with sample.unit("shop", TENANT) as shop:
        for number in range(50):
            shop.tx.publish(sale(number))
    records = await read(sample)
    assert numbers(records) == list(range(50))
    positions = [record.position for record in records]
    assert positions == sorted(set(positions))


async def test_a_reader_hears_only_what_it_asked_for_and_only_what_is_behind(sample: Host) -> None:
    await tell(sample, sale(1), PriceChanged(article="glass", version=1), sale(2), sale(3))
    first, *_ = await read(sample)
    assert numbers(await read(sample, after=first.position)) == [2, 3]
    assert [record.type for record in await read(sample, [SOLD, CHANGED])].count(CHANGED) == 1
    assert await read(sample, ["shop.never_told.v1"]) == []


async def test_a_page_is_bounded_in_items_and_in_bytes(sample: Host) -> None:
    await tell(sample, sale(1, 2), sale(3, 4), sale(5, 6))
    assert numbers(await read(sample, items=4)) == [1, 2, 3, 4]
    assert numbers(await read(sample, items=5)) == [1, 2, 3, 4], "an event is never cut"
    size = len(msgspec.json.encode(sale(1, 2)))
    assert numbers(await read(sample, size=2 * size)) == [1, 2, 3, 4]


async def test_there_is_at_least_one_however_large(sample: Host) -> None:
    await tell(sample, sale(*range(FOLD)), sale(FOLD))
    assert numbers(await read(sample, items=1)) == list(range(FOLD))
    assert numbers(await read(sample, size=1)) == list(range(FOLD))


async def test_what_is_far_behind_is_counted_by_its_events(
    sample: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "COUNTED", 3)
    for number in range(0, 10, 2):
        async with sample.unit("shop", TENANT) as shop:
            await shop.sell([number, number + 1])
    feed = sample.feed("shop")
    assert await feed.waiting(after=0, types=[SOLD]) == 3 * 2 + 2
    last = (await feed.read(after=0, types=[SOLD]))[2].position
    assert await feed.waiting(after=last, types=[SOLD]) == 2 * 2


async def test_head_and_waiting_count_what_is_asked_for(sample: Host) -> None:
    feed = sample.feed("shop")
    assert (await feed.head([SOLD]), await feed.waiting(after=0, types=[SOLD])) == (0, 0)
    await tell(sample, sale(1, 2, 3), PriceChanged(article="glass", version=1), sale(4))
    first, last = await read(sample)
    assert await feed.head([SOLD]) == last.position
    assert await feed.waiting(after=0, types=[SOLD]) == 4
    assert await feed.waiting(after=first.position, types=[SOLD, CHANGED]) == 2
    assert await feed.waiting(after=last.position, types=[SOLD]) == 0


async def test_a_position_is_never_given_twice(sample: Host) -> None:
    await tell(sample, sale(1), sale(2))
    *_, last = await read(sample)
    database = sample.databases["shop"]
    async with database.across() as connection:
        await connection.execute(delete(table(database.metadata, "outbox")))
    await tell(sample, sale(3))
    (record,) = await read(sample)
    assert record.position > last.position


async def test_what_did_not_commit_was_not_said(sample: Host) -> None:
    with pytest.raises(ZeroDivisionError):
        async with sample.unit("shop", TENANT) as shop:
            shop.tx.publish(sale(1))
            raise ZeroDivisionError
    assert await read(sample) == []


async def test_nothing_to_say_is_not_said(sample: Host) -> None:
    await tell(sample, sale())
    database = sample.databases["shop"]
    async with database.across(write=False) as connection:
        rows = select(func.count()).select_from(table(database.metadata, "outbox"))
        assert (await connection.execute(rows)).scalar_one() == 0


async def test_many_facts_are_told_in_parts_that_a_listener_can_hold(sample: Host) -> None:
    await tell(sample, sale(*range(FOLD), 7), sale(*range(2 * FOLD)))
    records = await read(sample, items=10 * FOLD)
    assert [record.items for record in records] == [FOLD, 1, FOLD, FOLD]
    assert numbers(records) == [*range(FOLD), 7, *range(2 * FOLD)]


async def test_whoever_waits_is_woken_after_the_commit(sample: Host) -> None:
    with sample.process.signals.listening("shop") as news:
        async with sample.unit("shop", TENANT) as shop:
            shop.tx.publish(sale(1))
            await asyncio.sleep(0)
            assert not news.is_set()
        await news.wait()
        assert numbers(await read(sample)) == [1]


async def test_a_listener_is_told_on_whose_behalf(sample: Host) -> None:
    other = UUID(int=1)
    await tell(sample, sale(1))
    async with sample.unit("shop", other) as shop:
        shop.tx.publish(sale(2))
    assert [record.tenant for record in await read(sample)] == [TENANT, other]
