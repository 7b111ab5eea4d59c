"""M3 behind each feed: of sixteen who write at once each key is heard in order, without a gap."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from martech.kernel.feeds import Feed
from martech.kernel.feeds.local import LocalFeed
from martech.kernel.host import Host
from martech.kernel.outbox import Recorded
from martech.kernel.settings import Settings
from tests import databases
from tests.chaos.defects import XidFeed
from tests.chaos.history import GuaranteeBroken, insist
from tests.chaos.loads import SlowPublisher
from tests.chaos.writers import WRITERS, change_price, in_order, write
from tests.kernel.feeds.listeners import listening
from tests.kernel.feeds.ways import Http, Way
from tests.sample.shop.module import module as shop

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1200)]


class FeedByXid(LocalFeed):
    async def read(self, *, after: int, types: Sequence[str], items: int = 500) -> list[Recorded]:
        return await XidFeed(self._database).read(after=after, types=types, items=items)


class HostByXid(Host):
    """Gives its peers what it told in the order of transaction ids (M3)."""

    def feed(self, name: str) -> Feed:
        return FeedByXid(self.databases[name])


class HttpByXid(Http):
    peer = HostByXid


async def keep_order(way: Way, url: str, processes: int, transactions: int) -> None:
    publisher = SlowPublisher(3, 0.002, share=0.03)
    async with listening(way, processes) as listeners:
        async with Host([shop], Settings(database_url=url), publisher=publisher) as host:
            history = await write(host, transactions, change_price)
        heard = await listeners.have(len(history.acknowledged))
    insist(
        faults=len(history.taken_back),
        wanted=1,
        tried=len(history.attempted),
        planned=WRITERS * transactions,
    )
    in_order(heard, len(history.acknowledged))


async def test_each_key_is_heard_in_order_behind_every_feed(
    way: Way, sample_url: str, processes: int, full: bool
) -> None:
    await keep_order(way, sample_url, processes, 300 if full else 6)


async def test_a_peer_that_orders_by_transaction_id_is_found_out(
    tmp_path: Path, full: bool
) -> None:
    url = databases.fresh("postgresql", databases.SAMPLE, tmp_path)
    way = HttpByXid(url)
    await way.begin()
    try:
        with pytest.raises(GuaranteeBroken, match=r"[1-9]\d* inversions"):
            await keep_order(way, url, 1, 300 if full else 15)
    finally:
        await way.end()
