"""A subscription's way through a topic.

It takes what follows on what it has heard, and passes over all else: events that are there twice,
and what comes behind a hole, unless something that fits comes later.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from confluent_kafka import Consumer, Message

from martech.kernel.feeds.kafka.cluster import PATIENCE, Cluster, Shared, ends, one, readable
from martech.kernel.feeds.kafka.entry import entry_of
from martech.kernel.outbox import Recorded

SIZE = 4_000_000  # bytes of a page, as in an outbox
AT_ONCE = 32  # messages taken from librdkafka's queue at a time
BACK = 1_000  # messages before the place that was found: a relay appends no more of them twice


class Reached(NamedTuple):
    """Between *since* and *at* there is nothing that is waited for before *offset*."""

    since: int
    at: int
    offset: int
    hole: int | None = None
    """The position of something behind a hole, if nothing that fits came after it."""


class Reading:
    """One subscription's way through a topic. Used in threads, one at a time."""

    def __init__(self, cluster: Cluster, source: str, types: Sequence[str]) -> None:
        self._partition = partial(cluster.partition, source)
        self._shared = Shared(cluster)
        self._types = frozenset(types)
        self._taken: deque[Message] = deque()
        self._offset = -1
        self._reached: Reached | None = None
        self._page: list[tuple[int, int]] = []
        """The last page: positions, and the offset behind each."""

    def page(self, after: int, items: int) -> tuple[list[Recorded], Reached]:
        with self._shared.held() as consumer:
            low, high = ends(consumer, self._partition())
            begin = self._begin(consumer, after, low, high)
            self._go(consumer, max(low, begin.offset))
            return self._through(consumer, begin, high, items)

    def close(self) -> None:
        self._shared.close()

    def _through(
        self, consumer: Consumer, begin: Reached, high: int, items: int
    ) -> tuple[list[Recorded], Reached]:
        """Take what follows on *begin*, up to the limits or the end."""
        since, at, offset, hole = begin
        found: list[Recorded] = []
        self._page, size = [(since, offset)], SIZE
        while self._offset < high:
            entry = entry_of(self._next(consumer, high))
            if entry and entry.before <= at < entry.record.position:
                record = entry.record
                if record.type in self._types:
                    items, size = items - record.items, size - len(bytes(record.data))
                    if found and (items < 0 or size < 0):
                        break
                    found.append(record)
                    since = record.position
                    self._page.append((since, self._offset + 1))
                at, hole = record.position, None
            elif entry and entry.before > at:
                hole = hole or entry.record.position
            self._taken.popleft()
            self._offset += 1
        self._reached = Reached(since, at, self._offset, hole)
        return found, self._reached

    def _begin(self, consumer: Consumer, after: int, low: int, high: int) -> Reached:
        """From where on to look for what comes behind *after*."""
        last = self._reached
        if last and low <= last.offset <= high:
            if last.since <= after:
                return Reached(after, max(after, last.at), last.offset, last.hole)
            before = bisect_right(self._page, after, key=lambda each: each[0])
            if before:
                return Reached(after, after, self._page[before - 1][1])
        return Reached(after, after, self._search(consumer, after, low, high) if after else low)

    def _search(self, consumer: Consumer, after: int, low: int, high: int) -> int:
        """An offset before which nothing is needed for who has heard all up to *after*."""
        first, behind = low, high
        while behind - first > BACK:
            middle = (first + behind) // 2
            entry = entry_of(one(consumer, self._partition(middle)))
            if entry and entry.record.position > after:
                behind = middle
            else:
                first = middle + 1
        self._offset = -1
        return max(low, first - BACK)

    def _go(self, consumer: Consumer, offset: int) -> None:
        if offset != self._offset:
            self._taken.clear()
            self._offset = offset
            consumer.assign([self._partition(offset)])

    def _next(self, consumer: Consumer, high: int) -> Message:
        if not self._taken:
            wanted = min(AT_ONCE, high - self._offset)
            self._taken.extend(readable(consumer.consume(wanted, timeout=PATIENCE)))
            self._offset = self._taken[0].offset() or self._offset
        return self._taken[0]
