"""What the counter does when people do something."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from benchmarks.counter.service import CounterService
from martech.kernel.module import on
from martech.modules.personalization.contract import SegmentChange, SegmentChanged
from martech.modules.profiles.contract import Activity, ActivityRecorded


@on(ActivityRecorded)
async def count_activities(activities: Sequence[Activity], counter: CounterService) -> None:
    """Count by event name."""
    await counter.add(Counter(activity.event or activity.type for activity in activities))
    now = counter.tx.now
    late = [(now - activity.received_at).total_seconds() for activity in activities]
    await counter.late("activity", late)


@on(SegmentChanged)
async def note_entries(changes: Sequence[SegmentChange], counter: CounterService) -> None:
    """How late we hear that somebody came into a segment, by segment. A profile's id begins with
    the millisecond in which its first event was received: look at a segment that is entered by
    it."""
    now = counter.tx.now.timestamp()
    late: dict[UUID, list[float]] = {}
    for change in changes:
        if change.change == "entered":
            entered = (change.profile_id.int >> 80) / 1000
            late.setdefault(change.segment_id, []).append(now - entered)
    for segment_id, seconds in late.items():
        await counter.late(f"entry {segment_id}", seconds)
