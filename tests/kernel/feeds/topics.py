"""A Kafka for tests: librdkafka's own mock of a cluster."""

import asyncio

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.chaos.processes import Child, Say
from tests.chaos.wire import Wire
from tests.servers import free_port

QUICK = "socket.timeout.ms=2000&reconnect.backoff.max.ms=200"
"""Whose server dies wants to know it soon, and soon that there is another."""


class MockKafka:
    """Lives as long as this object."""

    def __init__(self) -> None:
        self._cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self._cluster.list_topics(timeout=10).brokers.values()
        self.host, self.port = broker.host, broker.port
        self.address = f"{self.host}:{self.port}"
        self.url = f"kafka://{self.address}"

    def holds(self, topic: str) -> int:
        """How many messages."""
        asking = Consumer({"bootstrap.servers": self.address, "group.id": "counting"})
        low, high = asking.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
        asking.close()
        return int(high - low)


class OwnKafka:
    """Can be killed, and has forgotten everything when it is started again. It listens where it
    likes, so clients are led to it by a wire that begins at one place."""

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


async def carry(say: Say) -> None:
    """Be a Kafka, for ever."""
    cluster = MockKafka()
    say((cluster.host, cluster.port))
    await asyncio.Event().wait()
