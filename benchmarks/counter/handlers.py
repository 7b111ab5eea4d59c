"""What the counter does when people do something."""

from collections import Counter
from collections.abc import Sequence

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
    """How late we hear that somebody new came into a segment: a profile's id begins with the
    millisecond in which its first event was received."""
    now = counter.tx.now.timestamp()
    late = [now - (change.profile_id.int >> 80) / 1000 for change in changes]
    await counter.late("entry", late)
