"""Whoever carries what is told may die, and may forget it: the outbox is the record."""

import pytest

from martech.kernel.host import Host
from tests.chaos.loads import set_aside
from tests.kernel.feeds.listeners import by_what, listening
from tests.kernel.feeds.telling import sell
from tests.kernel.feeds.ways import FORGETFUL, MORTAL, Forgetful, Mortal, Way

pytestmark = [pytest.mark.anyio, pytest.mark.one_database, pytest.mark.timeout(300)]


@pytest.mark.parametrize("feed", MORTAL)
async def test_while_who_carries_is_dead_everything_waits(
    way: Way, shop: Host, processes: int
) -> None:
    assert isinstance(way, Mortal)
    async with listening(way, processes) as listeners:
        await sell(shop, 0, 20)
        await way.kill()
        await sell(shop, 20, 40)  # whoever tells does not notice
        await way.revive()
        await sell(shop, 40, 50)
        written = await listeners.have(50)
        assert await set_aside(listeners.host) == []
    assert by_what(written) == {"ada": list(range(50))}


@pytest.mark.parametrize("feed", FORGETFUL)
async def test_who_forgets_is_told_again(way: Way, shop: Host, processes: int) -> None:
    assert isinstance(way, Forgetful)
    async with listening(way, processes) as listeners:
        await sell(shop, 0, 20)
        await listeners.have(10)
        await way.flush()
        await sell(shop, 20, 40)
        written = await listeners.have(40)
    assert by_what(written) == {"ada": list(range(40))}


@pytest.mark.parametrize("feed", MORTAL)
async def test_a_listener_begins_while_who_carries_is_dead(way: Way, shop: Host) -> None:
    assert isinstance(way, Mortal)
    await sell(shop, 0, 20)
    await way.kill()
    async with listening(way, 1) as listeners:
        await way.revive()
        written = await listeners.have(20)
    assert by_what(written) == {"ada": list(range(20))}
