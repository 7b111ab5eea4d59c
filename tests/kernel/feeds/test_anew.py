"""A Kafka that comes back empty knows nothing of who wrote there before."""

import pytest

from martech.kernel.feeds import brokers
from martech.kernel.feeds.kafka import KafkaBroker
from martech.kernel.host import Host
from tests.kernel.feeds.telling import sell
from tests.kernel.feeds.topics import Tansu

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_what_is_appended_next_is_taken_at_once(shop: Host) -> None:
    await sell(shop, 0, 20)
    records = await shop.feed("shop").read(after=0, types=["shop.sold.v1"])
    kafka = Tansu()
    await kafka.start()
    broker = brokers.broker(kafka.url)
    assert isinstance(broker, KafkaBroker)
    try:
        for _ in range(2):
            assert await broker.append("shop", None, records, after=0)
            await kafka.kill()
            await kafka.start()
    finally:
        await broker.close()
        await kafka.kill()
