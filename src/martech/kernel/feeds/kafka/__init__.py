"""Outboxes in Kafka: a topic ``martech.outbox.<module>`` of one partition, so of one order.

An event's headers say its position and that of the event told before it. It may be there twice: a
relay that is not sure appends again, and so does `martech republish`, behind a record that says
"from here anew". Listeners know it by its position.

No consumer groups and no committed offsets: the cursor in the listener's schema is the record.
Where a position is in the topic is searched for once, and then remembered in memory.

    kafka://HOST:PORT,HOST:PORT/PREFIX?security.protocol=SASL_SSL&…

What stands behind the question mark is librdkafka's. (Optional: `pip install martech[kafka]`.)
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.cimpl import NewTopic

from martech.kernel.errors import Unavailable
from martech.kernel.feeds import Feed
from martech.kernel.feeds.broker import Mark
from martech.kernel.feeds.kafka.cluster import LARGEST, PATIENCE, Cluster, Shared, ends, one
from martech.kernel.feeds.kafka.entry import ANEW, Headers, entry_of, headers_of
from martech.kernel.feeds.kafka.reading import Reading
from martech.kernel.outbox import Recorded

log = logging.getLogger(__name__)

GLANCE = 0.2  # seconds between looks whether a topic has grown
AGAIN = 2.0  # seconds between looks while Kafka is away

KEPT: Final = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "max.message.bytes": str(LARGEST),
}
"""Of a topic that is made here: nothing is dropped before it was read."""


class KafkaBroker:
    def __init__(self, url: str) -> None:
        self._cluster = Cluster(url)
        self._producer: Producer | None = None
        self._tail = Shared(self._cluster)
        self._lock = Lock()

    def feed(self, record: Feed) -> Feed:
        return KafkaFeed(self._cluster, record)

    async def mark(self, source: str) -> Mark | None:
        return await self._cluster.wait_for(source, self._last, source)

    async def append(
        self, source: str, mark: Mark | None, records: Sequence[Recorded], *, after: int
    ) -> bool:
        messages: list[tuple[str, bytes, Headers]] = []
        for record in records:
            messages.append((record.subject, bytes(record.data), headers_of(record, after)))
            after = record.position
        if mark is None:
            await self._cluster.wait_for(source, self._make, source)
        await self._cluster.wait_for(source, self._send, source, messages)
        return True

    async def forget(self, source: str) -> None:
        await self._cluster.wait_for(source, self._make, source)
        await self._cluster.wait_for(source, self._send, source, [("", b"", ANEW)])

    async def warning(self) -> str | None:
        return None  # how long it keeps a topic is said where the topic is made

    async def close(self) -> None:
        await self._cluster.wait_for("all", self._tail.close)
        self._cluster.close()

    def _last(self, source: str) -> Mark | None:
        with self._tail.held() as consumer:
            low, high = ends(consumer, self._cluster.partition(source))
            if low == high:
                return None
            entry = entry_of(one(consumer, self._cluster.partition(source, high - 1)))
        return Mark(entry.record.position, entry.record.id) if entry else None

    def _make(self, source: str) -> None:
        """Make the topic, where that is ours to do and it is not there."""
        topic = self._cluster.partition(source).topic
        made = self._cluster.admin().create_topics(
            [NewTopic(topic, num_partitions=1, config=KEPT)], request_timeout=PATIENCE
        )[topic]
        try:
            made.result(PATIENCE)
        except (KafkaException, TimeoutError) as exc:  # if it is not there, sending says so
            log.debug("%s was not made: %s", topic, exc)

    def _send(self, source: str, messages: Sequence[tuple[str, bytes, Headers]]) -> None:
        """Append *messages* in their order; raise if Kafka does not have all of them."""
        failed: list[KafkaError] = []
        topic = self._cluster.partition(source).topic
        with self._lock:
            producer = self._producer = self._producer or self._cluster.producer()
            for key, value, headers in messages:
                producer.produce(
                    topic, value, key, 0, lambda e, _: failed.append(e) if e else None,
                    headers=headers,
                )  # fmt: skip
                producer.poll(0)
            left = producer.flush(2 * PATIENCE)
            if left or failed:
                self._producer = None  # what it still has must not come behind what is sent next
                producer.purge()
        if left or failed:
            raise KafkaException(failed[0] if failed else KafkaError(KafkaError._MSG_TIMED_OUT))


class KafkaFeed:
    def __init__(self, cluster: Cluster, record: Feed) -> None:
        self.source = record.source
        self._cluster = cluster
        self._record = record
        self._readings: dict[tuple[str, ...], Reading] = {}

    async def read(self, *, after: int, types: Sequence[str], items: int = 500) -> list[Recorded]:
        reading = self._reading(types)
        found, reached = await self._cluster.wait_for(self.source, reading.page, after, items)
        if reached.hole and not found:
            raise Unavailable(
                f"Kafka lacks what {self.source} told behind position {reached.at} and before "
                f"{reached.hole}: the topic was shortened, or copied from there only. `martech "
                f"republish {self.source}`, on the host that serves it, copies all of it again."
            )
        return found

    async def head(self, types: Sequence[str]) -> int:
        return await self._record.head(types)

    async def waiting(self, *, after: int, types: Sequence[str]) -> int:
        return await self._record.waiting(after=after, types=types)

    async def watch(self, wake: Callable[[], None]) -> None:
        shared, seen = Shared(self._cluster), None

        def look() -> tuple[int, int]:
            with shared.held() as consumer:
                return ends(consumer, self._cluster.partition(self.source))

        try:
            while True:
                try:
                    now = await self._cluster.wait_for(self.source, look)
                except Unavailable as exc:
                    log.warning("cannot watch %s, polling instead: %s", self.source, exc.detail)
                    await asyncio.sleep(AGAIN)
                    continue
                if now != seen:
                    seen = now
                    wake()
                await asyncio.sleep(GLANCE)
        finally:
            await self._cluster.wait_for(self.source, shared.close)

    async def close(self) -> None:
        for reading in self._readings.values():
            await self._cluster.wait_for(self.source, reading.close)
        await self._record.close()

    def _reading(self, types: Sequence[str]) -> Reading:
        waited = tuple(types)
        if waited not in self._readings:
            self._readings[waited] = Reading(self._cluster, self.source, types)
        return self._readings[waited]
