"""One subscription to several events hears them in the order of their source, on both databases."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from martech.kernel.bus import Bus
from martech.kernel.clock import TestClock
from martech.kernel.host import Host
from martech.kernel.module import ManifestError, Subscription, on
from martech.kernel.settings import Settings
from martech.modules.profiles.contract import ProfilesMerged
from tests.sample.ledger.module import module as ledger
from tests.sample.ledger.service import LedgerService
from tests.sample.shop.contract import PriceChanged, Sale, Sold
from tests.sample.shop.module import module as shop

pytestmark = pytest.mark.anyio

TENANT = uuid4()


@on(Sold, PriceChanged)
async def write_everything_down(
    facts: Sequence[Sale | PriceChanged], service: LedgerService
) -> None:
    for fact in facts:
        match fact:
            case Sale(buyer=buyer, number=number):
                await service.write([buyer], [number])
            case PriceChanged(article=article, version=version):
                await service.write([article], [version])


class Moody:
    """Refuses one fact, once."""

    def __init__(self, number: int) -> None:
        self.number: int | None = number

    def subscription(self) -> Subscription:
        @on(Sold, PriceChanged)
        async def write_what_suits(
            facts: Sequence[Sale | PriceChanged], service: LedgerService
        ) -> None:
            numbers = [f.number if isinstance(f, Sale) else f.version for f in facts]
            if self.number in numbers:
                if len(numbers) == 1:
                    self.number = None
                raise ValueError("not now")
            await service.write(["-"] * len(numbers), numbers)

        return write_what_suits


@pytest.fixture
def clock() -> TestClock:
    return TestClock(datetime(2026, 3, 1, tzinfo=UTC))


def host_with(url: str, subscription: Subscription, clock: TestClock) -> Host:
    modules = [shop, replace(ledger, subscriptions=[subscription])]
    return Host(modules, Settings(database_url=url), clock=clock)


async def tell(host: Host) -> None:
    for number in range(1, 6):
        async with host.unit("shop", TENANT) as service:
            await service.sell([10 * number, 10 * number + 1])
        async with host.unit("shop", TENANT) as service:
            await service.change_price("tea")


async def heard(host: Host) -> list[int]:
    async with host.unit("ledger", TENANT, write=False) as service:
        return [number for _, number in await service.read()]


async def test_what_was_told_in_turn_is_heard_in_turn(sample_url: str, clock: TestClock) -> None:
    async with host_with(sample_url, write_everything_down, clock) as host:
        await tell(host)
        await Bus(host).settle()
        assert await heard(host) == [10, 11, 1, 20, 21, 2, 30, 31, 3, 40, 41, 4, 50, 51, 5]


@pytest.mark.parametrize("number", [31, 3])
async def test_one_that_was_set_aside_is_tried_again_as_what_it_was(
    sample_url: str, clock: TestClock, number: int
) -> None:
    async with host_with(sample_url, Moody(number).subscription(), clock) as host:
        await tell(host)
        await Bus(host).settle()
        clock.move(timedelta(minutes=5))
        await Bus(host).settle()
        numbers = await heard(host)
    assert sorted(numbers) == [1, 2, 3, 4, 5, 10, 11, 20, 21, 30, 31, 40, 41, 50, 51]
    assert numbers.count(number) == 1


def test_a_handler_must_take_what_it_waits_for() -> None:
    async def too_few(facts: Sequence[Sale], service: LedgerService) -> None: ...

    with pytest.raises(ManifestError, match=r"must take Sale \| PriceChanged"):
        on(Sold, PriceChanged)(too_few).check()


def test_events_of_two_sources_have_no_order() -> None:
    async def both(facts: Sequence[Sale | ProfilesMerged], service: LedgerService) -> None: ...

    with pytest.raises(ManifestError, match="of one module"):
        on(Sold, ProfilesMerged)(both).check()
