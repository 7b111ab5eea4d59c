"""Which brokers there are."""

from importlib import import_module

from martech.kernel.feeds.broker import Broker
from martech.kernel.feeds.redis import RedisBroker
from martech.kernel.settings import SettingsError


def broker(url: str) -> Broker:
    """The broker at *url* (`MARTECH_BROKER_URL`). Nothing is connected before it is used.

    Raises `SettingsError` if the client for it is not installed.
    """
    return _kafka(url) if url.startswith("kafka:") else RedisBroker(url)


def _kafka(url: str) -> Broker:
    try:
        kafka = import_module("martech.kernel.feeds.kafka")
    except ImportError as exc:
        raise SettingsError(
            f"MARTECH_BROKER_URL is Kafka's, whose client is missing ({exc.name}). Install "
            "martech[kafka]."
        ) from None
    found: Broker = kafka.KafkaBroker(url)
    return found
