"""The ways on which what the shop tells comes to the ledger: one a feed.

A way is made for the database of a test and carries from `begin` to `end`. A new feed is a class
here and a line in `WAYS`; every case of this folder is then told of it.
"""

from typing import ClassVar, Protocol, runtime_checkable

import pytest
from msgspec.structs import replace

from martech.kernel.feeds.relay import Relay
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests.chaos.processes import Child
from tests.kernel.feeds.children import SECRET, serve
from tests.kernel.feeds.streams import OwnRedis, relay, settled
from tests.kernel.feeds.topics import Mocked, OwnKafka, Tansu
from tests.servers import free_port


class Way(Protocol):
    """From the shop's outbox at *url* to hosts of the ledger."""

    modules: ClassVar[tuple[str, ...]]
    """What a host of the ledger runs."""

    settings: Settings
    """Those of a host of the ledger."""

    def __init__(self, url: str) -> None: ...

    async def begin(self) -> None: ...

    async def arrived(self) -> None:
        """Return as soon as what was told until now can be heard."""
        ...

    async def end(self) -> None: ...


@runtime_checkable
class Mortal(Protocol):
    """There is somebody in between who may die."""

    async def kill(self) -> None:
        """As ``kill -9`` does."""
        ...

    async def revive(self) -> None:
        """It is back where it was."""
        ...


@runtime_checkable
class Forgetful(Protocol):
    """There is somebody in between who may forget all that was told."""

    async def flush(self) -> None: ...


class Local:
    """The shop is hosted where the ledger is."""

    modules = ("shop", "ledger")

    def __init__(self, url: str) -> None:
        self.settings = Settings(database_url=url)

    async def begin(self) -> None:
        """There is nobody in between."""

    async def arrived(self) -> None:
        """It has."""

    async def end(self) -> None:
        """Nor was there."""


class Http:
    """A process of its own hosts the shop."""

    modules = ("ledger",)
    peer: ClassVar[type[Host]] = Host

    def __init__(self, url: str) -> None:
        self._port = free_port()
        self._there = Settings(database_url=url, peer_secret=SECRET, port=self._port)
        peers = {"shop": f"http://127.0.0.1:{self._port}"}
        self.settings = Settings(database_url=url, peers=peers, peer_secret=SECRET)

    async def begin(self) -> None:
        self._child = Child(serve, self._there, self.peer)
        assert await self._child.said() == "serving"

    async def arrived(self) -> None:
        """It has: the outbox itself is asked."""

    async def end(self) -> None:
        await self._child.kill()

    async def kill(self) -> None:
        await self._child.kill()

    async def revive(self) -> None:
        await self.begin()


class Redis:
    """A process of its own hosts the shop, and another copies what it tells to a Redis."""

    modules = ("ledger",)
    relay: ClassVar[type[Relay]] = Relay

    def __init__(self, url: str) -> None:
        self._http, self._redis = Http(url), OwnRedis()
        self.settings = replace(self._http.settings, broker_url=self._redis.url)
        self._there = Settings(database_url=url, broker_url=self._redis.url)

    async def begin(self) -> None:
        await self._redis.start()
        await self._http.begin()
        self._relay = Child(relay, self._there, "", self.relay)
        assert await self._relay.said() == "relaying"

    async def arrived(self) -> None:
        await settled(self._there)

    async def end(self) -> None:
        await self._relay.kill()
        await self._http.end()
        await self._redis.stop()

    async def kill(self) -> None:
        await self._redis.kill()

    async def revive(self) -> None:
        await self._redis.start()

    async def flush(self) -> None:
        await self._redis.forget()


class Kafka:
    """A process of its own hosts the shop, and another copies what it tells to a Kafka."""

    modules = ("ledger",)
    relay: ClassVar[type[Relay]] = Relay
    kafka: ClassVar[type[OwnKafka]] = Mocked

    def __init__(self, url: str) -> None:
        self._http, self._kafka = Http(url), self.kafka()
        self.settings = replace(self._http.settings, broker_url=self._kafka.url)
        self._there = Settings(database_url=url, broker_url=self._kafka.url)

    async def begin(self) -> None:
        await self._kafka.start()
        await self._http.begin()
        self._relay = Child(relay, self._there, "", self.relay)
        assert await self._relay.said() == "relaying"

    async def arrived(self) -> None:
        await settled(self._there)

    async def end(self) -> None:
        await self._relay.kill()
        await self._http.end()
        await self._kafka.kill()

    async def kill(self) -> None:
        await self._kafka.kill()

    async def revive(self) -> None:
        await self._kafka.start()

    async def flush(self) -> None:
        """This one keeps what it has in memory only."""
        await self.kill()
        await self.revive()


class KafkaOnTansu(Kafka):
    """Another broker than the one that the client brings along. It dies between two sends: of one
    that was begun before, and reaches the next tansu (0.6, in memory) before anybody has asked that
    for the topic, it may count the messages and give none of them out, ever."""

    kafka = Tansu

    async def kill(self) -> None:
        await self.arrived()
        await super().kill()


WAYS: dict[str, type[Way]] = {
    "local": Local,
    "http": Http,
    "redis": Redis,
    "kafka": Kafka,
    "tansu": KafkaOnTansu,
}
CASES = [
    "local",
    *(pytest.param(name, marks=pytest.mark.one_database) for name in WAYS if name != "local"),
]
"""Who carries knows nothing of the database that it came from, which `local` reads itself: of those
one is enough in a short run."""

MORTAL = [name for name, way in WAYS.items() if issubclass(way, Mortal)]
FORGETFUL = [name for name, way in WAYS.items() if issubclass(way, Forgetful)]
