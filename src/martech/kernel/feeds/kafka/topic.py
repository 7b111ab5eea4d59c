"""One outbox's topic: what is at which offset."""

from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from martech.kernel.feeds.broker import Mark
from martech.kernel.feeds.kafka.cluster import Cluster
from martech.kernel.feeds.kafka.entry import Copy, Entry, entry_of

ABSENT = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
}
WIDEST = 256  # messages that are looked at together, where many do not count


class Tail(NamedTuple):
    """How a topic ends."""

    end: int
    """The offset behind its last message."""

    copy: Copy | None
    """Which one that is; None if nothing there counts."""

    mark: Mark | None
    """The last event of it."""


class Topic:
    def __init__(self, cluster: Cluster, source: str) -> None:
        self.name = cluster.topic(source)
        self._patience = cluster.patience

    def at(self, offset: int) -> TopicPartition:
        return TopicPartition(self.name, 0, offset)

    def ends(self, consumer: Consumer) -> tuple[int, int]:
        """The offsets of the first message and behind the last; (0, 0) if it is not there."""
        try:
            return self._watermarks(consumer)
        except KafkaException as exc:
            if exc.args[0].code() not in ABSENT:
                raise
        return self._watermarks(consumer) if self.is_there(consumer) else (0, 0)

    def is_there(self, consumer: Consumer) -> bool:
        """Asked anew: what *consumer* knew may be old."""
        return not consumer.list_topics(self.name, timeout=self._patience).topics[self.name].error

    def _watermarks(self, consumer: Consumer) -> tuple[int, int]:
        low, high = consumer.get_watermark_offsets(self.at(0), timeout=self._patience)
        return low, high

    def tail(self, consumer: Consumer) -> Tail:
        low, high = self.ends(consumer)
        first, wide = high, 1
        while first > low:
            behind, first = first, max(low, first - wide)
            for message in reversed(self._between(consumer, first, behind)):
                entry = entry_of(message)
                if entry and self.begins(consumer, entry.copy, low, high):
                    told = entry.record
                    mark = Mark(told.position, told.id) if told else None
                    return Tail(high, entry.copy, mark)
            wide = min(2 * wide, WIDEST)
        return Tail(high, None, None)

    def begins(self, consumer: Consumer, copy: Copy, low: int, high: int) -> bool:
        """Whether *copy* is there from its first message on, as far as the topic, which goes from
        *low* to before *high*, reaches back. Without it, it is the end of something of which Kafka
        has forgotten the beginning."""
        if not low <= copy.begun < high:
            return copy.begun < low
        first = self._between(consumer, copy.begun, copy.begun + 1)
        entry = entry_of(first[0]) if first else None
        return entry is not None and entry.copy == copy

    def first_from(
        self, consumer: Consumer, copy: Copy | None, offset: int, behind: int
    ) -> Entry | None:
        """The first of *copy* that counts at *offset* or later, and before *behind*."""
        wide = 1
        while offset < behind:
            until = min(offset + wide, behind)
            for message in self._between(consumer, offset, until):
                entry = entry_of(message)
                if entry and entry.copy == copy:
                    return entry
            offset, wide = until, min(2 * wide, WIDEST)
        return None

    def take(self, consumer: Consumer, most: int) -> list[Message]:
        """What comes next, an error among it perhaps. Raises `KafkaException` if nothing does."""
        taken: list[Message] = consumer.consume(most, timeout=self._patience)
        if not taken:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return taken

    def _between(self, consumer: Consumer, first: int, behind: int) -> list[Message]:
        """The messages from offset *first* on, before *behind*."""
        found: list[Message] = []
        consumer.assign([self.at(first)])
        try:
            while first < behind:
                found += readable(self.take(consumer, behind - first))
                first = (found[-1].offset() or 0) + 1
        finally:
            consumer.unassign()
        return [message for message in found if (message.offset() or 0) < behind]


def readable(messages: list[Message]) -> list[Message]:
    for message in messages:
        if error := message.error():
            raise KafkaException(error)
    return messages
