"""From what stands in an outbox to single facts, each with its place.

Folded events are unfolded here, so that everything after it (batches, bisection, parking)
works on single items. An item that cannot be decoded is found alone; its neighbours are not.
What was told as an older version becomes the one that is waited for (`messages.upcast`); what is
set aside stays as it was told.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

from martech.kernel.cursors import Aside, Place
from martech.kernel.messages import Fact, Folded, fact_type, subject_of
from martech.kernel.module import Subscription
from martech.kernel.outbox import Origin, Recorded


class NotLifted(msgspec.MsgspecError):
    """An upcaster failed on a fact. It is pure: as with what cannot be decoded, only other code
    makes it pass."""


class _Items(msgspec.Struct):
    items: list[msgspec.Raw]


@dataclass(slots=True)
class Heard:
    """One fact as a subscription hears it. *fact* is None when it cannot be decoded."""

    record: Recorded
    item: int
    fact: Fact | None
    raw: bytes | None
    error: str = ""

    @property
    def tenant(self) -> UUID:
        return self.record.tenant

    @property
    def subject(self) -> str:
        return subject_of(self.fact) if self.fact is not None else ""

    @property
    def place(self) -> Place:
        return Place(self.record.position, self.item)

    @property
    def next(self) -> Place:
        """The cursor once this is done."""
        if self.item + 1 < self.record.items:
            return Place(self.record.position - 1, self.item + 1)
        return Place(self.record.position, 0)

    def aside(self) -> Aside:
        record = self.record
        data = self.raw if self.raw is not None else msgspec.json.encode(self.fact)
        return Aside(
            self.place, record.tenant, record.id, record.type, self.subject, record.time, data
        )


def unfold(records: Sequence[Recorded], subscription: Subscription, place: Place) -> list[Heard]:
    """The facts in *records*, without the first *place.item* that are done already."""
    heard = [fact for record in records for fact in _facts(record, subscription)]
    if not place.item:
        return heard
    begin = Place(place.position + 1, place.item)
    return [h for h in heard if h.place >= begin]


def fact_of(event_type: str, data: bytes, subscription: Subscription) -> Fact:
    """A fact that was set aside; raises `msgspec.MsgspecError` if it still cannot be decoded."""
    fact: Fact = msgspec.json.decode(data, type=fact_type(subscription.types[event_type]))
    return _lifted(fact, event_type, subscription)


def origin_of(record: Recorded) -> Origin:
    """What is caused by *record*: same correlation, and it as the cause."""
    return Origin(record.correlationid or record.id, record.id, record.traceparent)


def _facts(record: Recorded, subscription: Subscription) -> Iterator[Heard]:
    event = subscription.types[record.type]
    if not issubclass(event, Folded):
        yield _one(record, 0, bytes(record.data), subscription)
        return
    if record.type in subscription.lifts:
        yield from _each(record, subscription)
        return
    try:
        folded = msgspec.json.decode(record.data, type=event)
    except msgspec.MsgspecError:
        yield from _each(record, subscription)
        return
    for index, item in enumerate(folded.items):
        yield Heard(record, index, item, None)


def _each(record: Recorded, subscription: Subscription) -> Iterator[Heard]:
    try:
        items = msgspec.json.decode(record.data, type=_Items).items
    except msgspec.MsgspecError as exc:
        # nothing inside can be told apart: the whole record is one item
        yield Heard(record, record.items - 1, None, bytes(record.data), str(exc))
        return
    for index, raw in enumerate(items):
        yield _one(record, index, bytes(raw), subscription)


def _one(record: Recorded, item: int, raw: bytes, subscription: Subscription) -> Heard:
    try:
        return Heard(record, item, fact_of(record.type, raw, subscription), raw)
    except msgspec.MsgspecError as exc:
        return Heard(record, item, None, raw, str(exc))


def _lifted(fact: Fact, event_type: str, subscription: Subscription) -> Fact:
    """*fact* as the version that is waited for. Raises `NotLifted`."""
    lift = subscription.lifts.get(event_type)
    if lift is None:
        return fact
    try:
        lifted: Fact = lift(fact)
    except Exception as exc:
        raise NotLifted(f"{event_type} cannot be read as a later version: {exc!r}") from exc
    return lifted
