"""A subscription's way through a topic.

It takes what follows on what it has heard, and passes over all else: what does not count, and what
comes behind a hole, unless something that fits comes later. Where another copy begins it begins
anew behind its cursor, whatever it has found in the one before; unless that one does not begin
where it says (`Topic.begins`), or is older than the one it follows.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

from confluent_kafka import Consumer, Message

from martech.kernel.feeds.kafka.cluster import Cluster, Looks, Shared
from martech.kernel.feeds.kafka.entry import Copy, entry_of
from martech.kernel.feeds.kafka.topic import Topic, readable
from martech.kernel.outbox import Recorded

SIZE = 4_000_000  # bytes of a page, as in an outbox
AT_ONCE = 32  # messages taken from librdkafka's queue at a time
NEAR = 32  # messages in which a place is no longer searched for, but read to
TURN = 1.0  # seconds until a page ends in which little or nothing was found


class Reached(NamedTuple):
    """Between *since* and *at* there is nothing that is waited for before *offset*."""

    copy: Copy | None
    since: int
    at: int
    offset: int
    hole: int | None = None
    """The position of something behind a hole, if nothing that fits came after it."""


class Page(NamedTuple):
    found: list[Recorded]
    reached: Reached
    more: bool
    """Whether the topic goes on."""


class Reading:
    """One subscription's way through a topic. Used in threads, one at a time."""

    def __init__(self, cluster: Cluster, topic: Topic, looks: Looks, types: Sequence[str]) -> None:
        """*looks* is for a look elsewhere in the topic, without leaving the place."""
        self._topic = topic
        self._looks = looks
        self._shared = Shared(cluster.consumer)
        self._types = frozenset(types)
        self._taken: deque[Message] = deque()
        self._offset = -1
        self._reached: Reached | None = None
        self._page: list[tuple[int, int]] = []
        """The last page: positions, and the offset behind each."""

    def page(self, after: int, items: int) -> Page:
        with self._looks.held() as looking:
            low, high = self._topic.ends(looking)
        with self._shared.held() as consumer:
            begin = self._begin(consumer, after, low, high)
            while True:
                page = self._through(consumer, begin, low, high, items)
                newer = self._newer(page, low)
                if newer is None:
                    self._reached = page.reached
                    return page
                begin = Reached(newer, after, after, newer.begun)

    def close(self) -> None:
        self._shared.close()

    def _through(self, consumer: Consumer, begin: Reached, low: int, high: int, items: int) -> Page:
        """Take what follows on *begin*, up to the limits or the end."""
        copy, after, at, offset, hole = begin
        self._go(consumer, max(low, offset))
        found: list[Recorded] = []
        since, size, until = after, SIZE, monotonic() + TURN
        self._page = [(since, self._offset)]
        while self._offset < high:
            entry = entry_of(self._next(consumer, high))
            if entry and entry.copy != copy:
                if self._is_newer(entry.copy, copy, low, high):
                    anew = Reached(entry.copy, after, after, entry.copy.begun)
                    return self._through(consumer, anew, low, high, items)
                entry = None
            record = entry and entry.record
            if entry and record and entry.before <= at < record.position:
                if record.type in self._types:
                    items, size = items - record.items, size - len(bytes(record.data))
                    if found and (items < 0 or size < 0):
                        break
                    found.append(record)
                    since = record.position
                    self._page.append((since, self._offset + 1))
                at, hole = record.position, None
            elif entry and record and entry.before > at:
                hole = hole or record.position
            self._taken.popleft()
            self._offset += 1
            if not self._taken and monotonic() >= until:
                break
        return Page(found, Reached(copy, since, at, self._offset, hole), self._offset < high)

    def _is_newer(self, other: Copy, copy: Copy | None, low: int, high: int) -> bool:
        """Whether *other*, found behind *copy* or in its place, is what counts from now on."""
        with self._looks.held() as consumer:
            return self._topic.begins(consumer, other, low, high) and (
                copy is None
                or other.begun > copy.begun
                or not self._topic.begins(consumer, copy, low, high)
            )

    def _newer(self, page: Page, low: int) -> Copy | None:
        """The copy with which the topic ends, if it is newer than that of a page which did not come
        so far."""
        if not page.more:
            return None
        with self._looks.held() as consumer:
            high, last, _ = self._topic.tail(consumer)
        copy = page.reached.copy
        if last is None or last == copy or not self._is_newer(last, copy, low, high):
            return None
        return last

    def _begin(self, consumer: Consumer, after: int, low: int, high: int) -> Reached:
        """From where on to look for what comes behind *after*."""
        last = self._reached
        if last and low <= last.offset <= high:
            if last.since <= after and (last.hole is None or after <= last.at):
                return Reached(last.copy, after, max(after, last.at), last.offset, last.hole)
            before = bisect_right(self._page, after, key=lambda each: each[0])
            if before and last.since > after:
                return Reached(last.copy, after, after, self._page[before - 1][1])
        return self._search(consumer, after, low)

    def _search(self, consumer: Consumer, after: int, low: int) -> Reached:
        """A place in the last copy before which nothing is needed for who has heard all up to
        *after*."""
        self._offset = -1
        tail = self._topic.tail(consumer)
        first, behind = max(low, tail.copy.begun if tail.copy else low), tail.end
        while after and behind - first > NEAR:
            middle = (first + behind) // 2
            entry = self._topic.first_from(consumer, tail.copy, middle, behind)
            if entry and entry.record and entry.record.position <= after:
                first = middle + 1
            else:
                behind = middle
        return Reached(tail.copy, after, after, first)

    def _go(self, consumer: Consumer, offset: int) -> None:
        if offset != self._offset:
            self._taken.clear()
            self._offset = offset
            consumer.assign([self._topic.at(offset)])

    def _next(self, consumer: Consumer, high: int) -> Message:
        if not self._taken:
            taken = self._topic.take(consumer, min(AT_ONCE, high - self._offset))
            if any(message.error() for message in taken):
                self._offset, self._reached = -1, None  # what came before the error is lost to us
            self._taken.extend(readable(taken))
        self._offset = self._taken[0].offset() or self._offset
        return self._taken[0]
