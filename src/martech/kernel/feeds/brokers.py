"""Which brokers there are."""

from martech.kernel.feeds.broker import Broker
from martech.kernel.feeds.redis import RedisBroker


def broker(url: str) -> Broker:
    """The broker at *url* (`MARTECH_BROKER_URL`). Nothing is connected before it is used."""
    return RedisBroker(url)
