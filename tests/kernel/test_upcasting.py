"""Who listens to a V2 hears what was told as V1 too, as a V2. On both databases."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

import pytest

from martech.kernel.bus import Bus
from martech.kernel.host import Host
from martech.kernel.messages import Event, upcast
from martech.kernel.module import Subscription, on
from martech.kernel.outbox import ToldTwice
from martech.kernel.parked import parked, retry
from martech.kernel.published import canvas
from martech.kernel.settings import Settings
from tests.sample.ledger.module import module as ledger
from tests.sample.ledger.service import LedgerService
from tests.sample.shop.contract import (
    PriceChanged,
    PriceChangedV2,
    PriceChangedV3,
    Sale,
    SaleV2,
    Sold,
    SoldV2,
)
from tests.sample.shop.module import module as shop

pytestmark = pytest.mark.anyio

TENANT = uuid4()


@on(PriceChangedV3)
async def write_reasons_down(event: PriceChangedV3, service: LedgerService) -> None:
    await service.write([f"{event.article}: {event.why}"], [event.change])


@on(SoldV2)
async def write_customers_down(sales: Sequence[SaleV2], service: LedgerService) -> None:
    await service.write([sale.customer for sale in sales], [sale.number for sale in sales])


@on(PriceChanged, PriceChangedV2)
async def write_both_down(event: PriceChanged | PriceChangedV2, service: LedgerService) -> None:
    await service.write([type(event).__name__], [1])


def host_with(url: str, *subscriptions: Subscription) -> Host:
    return Host([shop, replace(ledger, subscriptions=subscriptions)], Settings(database_url=url))


async def tell(host: Host, *events: Event) -> None:
    for event in events:
        async with host.databases["shop"].transaction(TENANT) as tx:
            tx.publish(event)


async def written(host: Host) -> list[tuple[str, int]]:
    async with host.unit("ledger", TENANT, write=False) as service:
        lines: list[tuple[str, int]] = await service.read()
        return lines


async def test_every_older_version_is_heard_as_the_one_waited_for_in_the_order_of_telling(
    sample_url: str,
) -> None:
    async with host_with(sample_url, write_reasons_down) as host:
        await tell(
            host,
            PriceChanged(article="tea", version=1),
            PriceChangedV2(article="tea", change=2),
            PriceChangedV3(article="tea", change=3, why="frost"),
            PriceChanged(article="tea", version=4),
        )
        (delivery,) = Bus(host).deliveries
        assert await delivery.lag() == 4
        await Bus(host).settle()
        before = "tea: told before"
        assert await written(host) == [(before, 1), (before, 2), ("tea: frost", 3), (before, 4)]
        assert await delivery.lag() == 0


async def test_folded_ones_are_read_item_by_item(sample_url: str) -> None:
    async with host_with(sample_url, write_customers_down) as host:
        await tell(
            host,
            Sold(items=[Sale(buyer="ada", number=1), Sale(buyer="bob", number=2)]),
            SoldV2(items=[SaleV2(customer="cyd", number=3)]),
        )
        await Bus(host).settle()
        assert await written(host) == [("ada", 1), ("bob", 2), ("cyd", 3)]


async def test_who_waits_for_the_old_one_too_is_given_it_as_it_was_told(sample_url: str) -> None:
    async with host_with(sample_url, write_both_down) as host:
        await tell(
            host, PriceChanged(article="tea", version=1), PriceChangedV2(article="tea", change=2)
        )
        await Bus(host).settle()
        assert await written(host) == [("PriceChanged", 1), ("PriceChangedV2", 1)]


async def test_what_no_upcaster_can_read_is_parked_as_it_was_told_and_holds_up_nobody(
    sample_url: str,
) -> None:
    async with host_with(sample_url, write_reasons_down) as host:
        await tell(
            host, PriceChanged(article="", version=1), PriceChangedV2(article="tea", change=2)
        )
        await Bus(host).settle()
        assert await written(host) == [("tea: told before", 2)]
        (one,) = await parked(host)
        assert one.type == "shop.price_changed.v1"
        assert "nothing has no price" in one.error
        await retry(host, "ledger", one.id)
        await Bus(host).settle()
        (again,) = await parked(host)
        assert (again.id, again.attempts) == (one.id, 1), "trying more often would not help"


class Choosy:
    """Refuses customers' sales at first."""

    def __init__(self) -> None:
        self.refuses = True

    def subscription(self) -> Subscription:
        @on(SoldV2)
        async def write_in_time(sale: SaleV2, service: LedgerService) -> None:
            if self.refuses:
                raise ValueError("not now")
            await service.write([sale.customer], [sale.number])

        return write_in_time


async def test_what_was_set_aside_as_v1_is_tried_again_as_v2(sample_url: str) -> None:
    choosy = Choosy()
    async with host_with(sample_url, choosy.subscription()) as host:
        await tell(host, Sold(items=[Sale(buyer="ada", number=1)]))
        await Bus(host, patience=1).settle()
        (one,) = await parked(host)
        choosy.refuses = False
        await retry(host, "ledger", one.id)
        await Bus(host).settle()
        assert await written(host) == [("ada", 1)]


async def test_one_transaction_does_not_tell_a_fact_in_both_versions(sample_url: str) -> None:
    async with host_with(sample_url, write_reasons_down) as host:
        with pytest.raises(ToldTwice, match="Tell PriceChangedV3 alone"):
            async with host.databases["shop"].transaction(TENANT) as tx:
                tx.publish(PriceChanged(article="tea", version=1))
                tx.publish(PriceChangedV3(article="tea", change=1, why="frost"))
        await Bus(host).settle()
        assert await written(host) == []


def test_a_module_hears_what_it_waits_for_and_says_nothing_of_older_versions() -> None:
    listening = canvas(replace(ledger, subscriptions=[write_reasons_down]))
    assert [heard for _, heard, _ in listening.hears] == ["shop.price_changed.v3"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (PriceChangedV2, PriceChanged, "no later version"),
        (PriceChanged, PriceChanged, "no later version"),
        (Sold, PriceChangedV2, "no later version"),
    ],
)
def test_only_a_later_version_of_the_same_is_one(
    old: type[Event], new: type[Event], said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        upcast(old, new)


class SoldV3(Event, frozen=True):
    """Was folded, and is not any more."""


def test_a_folded_event_does_not_become_a_single_one() -> None:
    SoldV3.__module__ = Sold.__module__
    with pytest.raises(TypeError, match="both be folded"):
        upcast(Sold, SoldV3)
