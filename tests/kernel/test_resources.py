"""A host's long-lived things: made from what they name, closed with it."""

from dataclasses import replace

import msgspec
import pytest

from martech.kernel.clock import Clock, SystemClock
from martech.kernel.grouping import Groups
from martech.kernel.host import Host
from martech.kernel.module import ManifestError
from martech.kernel.settings import Settings
from tests.sample.shop.module import module as shop

pytestmark = pytest.mark.anyio


class Till(msgspec.Struct, frozen=True):
    currency: str = "EUR"


class Drawer:
    def __init__(self, clock: Clock, till: Till) -> None:
        self.clock = clock
        self.till = till
        self.closed = False

    async def close(self) -> None:
        self.closed = True


class Cashier:
    def __init__(self, drawer: Drawer, groups: Groups, settings: Settings) -> None:
        self.drawer = drawer
        self.settings = settings


class Stranger:
    def __init__(self, cashier: Cashier) -> None: ...


async def test_a_resource_is_given_what_it_names_and_is_closed_with_its_host() -> None:
    settings, clock = Settings(of_modules={Till: Till(currency="USD")}), SystemClock()
    module = replace(shop, resources=[Drawer, Cashier], settings=Till)
    async with Host([module], settings, clock=clock) as host:
        drawer, cashier = (host.resources["shop"][kind] for kind in (Drawer, Cashier))
        assert isinstance(drawer, Drawer)
        assert isinstance(cashier, Cashier)
        assert (drawer.clock, drawer.till) == (clock, Till(currency="USD"))
        assert (cashier.drawer, cashier.settings) == (drawer, settings)
        assert not drawer.closed
    assert drawer.closed


def test_a_resource_that_asks_for_something_else_stops_the_start() -> None:
    module = replace(shop, resources=[Stranger])
    with pytest.raises(ManifestError, match=r"Stranger asks for cashier"):
        Host([module], Settings())
