"""What the counter does when people do something."""

from collections import Counter
from collections.abc import Sequence

from benchmarks.counter.service import CounterService
from martech.kernel.module import on
from martech.modules.profiles.contract import Activity, ActivityRecorded


@on(ActivityRecorded)
async def count_activities(activities: Sequence[Activity], counter: CounterService) -> None:
    """Count by event name."""
    await counter.add(Counter(activity.event or activity.type for activity in activities))
    now = counter.tx.now
    await counter.late([(now - activity.received_at).total_seconds() for activity in activities])
