"""Outboxes in Kafka: a topic ``martech.outbox.<module>`` of one partition, so of one order.

An event's headers say its position and that of the event told before it, and where in the topic
it belongs: what came to stand elsewhere does not count, so that of two relays, and of one whose
message was refused, nothing is there twice or behind a hole. `martech republish` begins another
copy in the same topic with its first message; what stood before that does not count either
(`entry`).

No consumer groups and no committed offsets: the cursor in the listener's schema is the record.
Where a position is in the topic is searched for once, and then remembered in memory.

    kafka://HOST:PORT,HOST:PORT/PREFIX?security.protocol=SASL_SSL&…

What stands behind the question mark is librdkafka's; `socket.timeout.ms` is how long anything here
waits for an answer. (Optional: `pip install martech[kafka]`.)
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.cimpl import NewTopic

from martech.kernel.errors import Unavailable
from martech.kernel.feeds import Feed
from martech.kernel.feeds.broker import ANEW, Mark
from martech.kernel.feeds.kafka.cluster import LARGEST, Cluster, Looks
from martech.kernel.feeds.kafka.entry import Copy, Headers, beginning, headers_of
from martech.kernel.feeds.kafka.reading import Reading
from martech.kernel.feeds.kafka.topic import Tail, Topic
from martech.kernel.outbox import Recorded
from martech.kernel.trouble import Trouble

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

ToSend = tuple[str | None, bytes, Headers]
"""Key, value, headers."""


class KafkaBroker:
    def __init__(self, url: str) -> None:
        self._cluster = Cluster(url)
        self._producer: Producer | None = None
        self._looks = Looks(self._cluster.looking)
        self._lock = Lock()
        self._singly = False
        """After a failure: behind a message that is refused others would be sent in vain."""

    def feed(self, record: Feed) -> Feed:
        return KafkaFeed(self._cluster, record)

    async def mark(self, source: str) -> Mark | None:
        return (await self._cluster.wait_for(source, self._tail, source)).mark

    async def append(
        self, source: str, mark: Mark | None, records: Sequence[Recorded], *, after: int
    ) -> bool:
        return await self._cluster.wait_for(source, self._append, source, mark, records, after)

    async def forget(self, source: str) -> None:
        await self._cluster.wait_for(source, self._make, source)
        await self._cluster.wait_for(source, self._send, source, [(None, b"", beginning())])

    async def warning(self) -> str | None:
        return None  # how long it keeps a topic is said where the topic is made

    async def close(self) -> None:
        await self._cluster.wait_for("all", self._looks.close)
        self._cluster.close()

    def _tail(self, source: str) -> Tail:
        with self._looks.held() as consumer:
            return Topic(self._cluster, source).tail(consumer)

    def _append(
        self, source: str, mark: Mark | None, records: Sequence[Recorded], after: int
    ) -> bool:
        tail = self._tail(source)
        if mark is not ANEW and tail.mark != mark:
            return False
        if tail.copy is None:
            self._make(source)
            with self._lock:
                self._producer = None  # who forgot us takes its number and its count for another's
        last = None if mark is ANEW else tail.copy
        copy = last or Copy.anew(tail.end)
        messages: list[ToSend] = []
        for offset, record in enumerate(records, tail.end):
            headers = headers_of(record, after, copy, offset)
            messages.append((record.subject or None, bytes(record.data), headers))
            after = record.position
        return self._send(source, messages) == tail.end

    def _make(self, source: str) -> None:
        """Make the topic, where that is ours to do and it is not there."""
        topic, patience = self._cluster.topic(source), self._cluster.patience
        with self._looks.held() as consumer:
            if Topic(self._cluster, source).is_there(consumer):
                return
        admin = self._cluster.admin()  # without a name it would go before it has asked
        made = admin.create_topics(
            [NewTopic(topic, num_partitions=1, config=KEPT)], request_timeout=patience
        )
        try:
            made[topic].result(patience)
        except (KafkaException, TimeoutError) as exc:  # if it is not there, sending says so
            log.debug("%s was not made: %s", topic, exc)

    def _send(self, source: str, messages: Sequence[ToSend]) -> int | None:
        """Append *messages* in their order; the offset of the first. Raises if Kafka does not have
        all of them; it has those before the first that it does not have."""
        topic = self._cluster.topic(source)
        with self._lock:
            producer = self._producer = self._producer or self._cluster.producer()
            try:
                first = self._sent(producer, topic, messages)
            except BaseException:
                self._producer = None  # what it still has must not come behind what is sent next
                self._singly = True
                producer.purge()
                raise
            self._singly = False
        return first

    def _sent(self, producer: Producer, topic: str, messages: Sequence[ToSend]) -> int | None:
        offsets, failed = list[int | None](), list[KafkaError]()

        def told(error: KafkaError | None, message: Message) -> None:
            offsets.append(message.offset())
            if error:
                failed.append(error)

        for key, value, headers in messages:
            producer.produce(topic, value, key, 0, told, headers=headers)
            if self._singly:
                producer.flush()  # until its time is over
            producer.poll(0)
            if failed:
                raise KafkaException(failed[0])
        if producer.flush(2 * self._cluster.patience):
            raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT))
        if failed:
            raise KafkaException(failed[0])
        return offsets[0]


class KafkaFeed:
    def __init__(self, cluster: Cluster, record: Feed) -> None:
        self.source = record.source
        self._cluster = cluster
        self._topic = Topic(cluster, record.source)
        self._looks = Looks(cluster.looking)
        self._record = record
        self._wake: Callable[[], None] = lambda: None
        self._readings: dict[tuple[str, ...], Reading] = {}

    async def read(self, *, after: int, types: Sequence[str], items: int = 500) -> list[Recorded]:
        reading = self._reading(types)
        found, reached, more = await self._cluster.wait_for(self.source, reading.page, after, items)
        if more and not found:
            self._wake()  # to go on where this page has ended
        elif reached.hole and not found:
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
        self._wake, seen, trouble = wake, None, Trouble(log)
        while True:
            try:
                now = await self._cluster.wait_for(self.source, self._ends)
            except Unavailable as exc:
                trouble.begins(f"cannot watch {self.source} in Kafka, polling instead", exc.detail)
                await asyncio.sleep(AGAIN)
                continue
            trouble.ends(f"{self.source} is watched in Kafka again")
            if now != seen:
                seen = now
                wake()
            await asyncio.sleep(GLANCE)

    async def close(self) -> None:
        for reading in self._readings.values():
            await self._cluster.wait_for(self.source, reading.close)
        await self._cluster.wait_for(self.source, self._looks.close)
        await self._record.close()

    def _ends(self) -> tuple[int, int]:
        with self._looks.held() as consumer:
            return self._topic.ends(consumer)

    def _reading(self, types: Sequence[str]) -> Reading:
        waited = tuple(types)
        if waited not in self._readings:
            self._readings[waited] = Reading(self._cluster, self._topic, self._looks, types)
        return self._readings[waited]
