"""A Kafka for tests: librdkafka's own mock of a cluster, and tansu, a broker."""

import asyncio
import os
import signal
from typing import Protocol
from urllib.parse import urlsplit

from confluent_kafka import Consumer, Producer, TopicPartition

from tests import servers, watchers
from tests.chaos.processes import Child, Say
from tests.chaos.wire import Wire
from tests.servers import free_port

QUICK = "socket.timeout.ms=2000&reconnect.backoff.max.ms=200"
"""Whose server dies wants to know it soon, and soon that there is another."""

SINGLY = "batch.num.messages=1"
"""tansu 0.6 says that a topic ends behind the first message of its last batch (in memory)."""


class MockKafka:
    """Lives as long as this object. It makes no topic for who asks it to: that of the shop is
    there."""

    def __init__(self) -> None:
        self._cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self._cluster.list_topics(timeout=10).brokers.values()
        self._cluster.list_topics("martech.outbox.shop", timeout=10)
        self.host, self.port = broker.host, broker.port
        self.url = f"kafka://{self.host}:{self.port}"


def address(url: str) -> str:
    """As its clients want it."""
    return urlsplit(url).netloc


def with_option(url: str, option: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{option}"


def held(url: str, topic: str) -> int:
    """How many messages."""
    asking = Consumer({"bootstrap.servers": address(url), "group.id": "counting"})
    low, high = asking.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
    asking.close()
    return int(high - low)


class OwnKafka(Protocol):
    """Can be killed, and has forgotten everything when it is started again."""

    url: str

    async def start(self) -> None: ...

    async def kill(self) -> None: ...


class Mocked:
    """The mock in a process of its own. It listens where it likes, so clients are led to it by a
    wire that begins at one place."""

    def __init__(self) -> None:
        self._port = free_port()
        self.url = f"kafka://127.0.0.1:{self._port}?{QUICK}"
        self._child: Child | None = None
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._child = Child(carry)
        wire = Wire(*await self._child.said())
        self._server = await asyncio.start_server(wire.connected, "127.0.0.1", self._port)

    async def kill(self) -> None:
        if self._child and self._server:
            await self._child.kill()
            self._server.close()
        self._child = self._server = None


class Tansu:
    """A broker that knows nothing of librdkafka, in memory."""

    def __init__(self) -> None:
        self._program, self._port = servers.find_tansu(), servers.free_port()
        self.url = f"kafka://127.0.0.1:{self._port}?{QUICK}&{SINGLY}"
        self._server: watchers.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.to_thread(servers.start_kafka, self._program, self._port)

    async def kill(self) -> None:
        if self._server and self._server.pid:
            os.kill(self._server.pid, signal.SIGKILL)
            await asyncio.to_thread(watchers.stop, self._server)
        self._server = None


async def carry(say: Say) -> None:
    """Be a Kafka, for ever."""
    cluster = MockKafka()
    say((cluster.host, cluster.port))
    await asyncio.Event().wait()
