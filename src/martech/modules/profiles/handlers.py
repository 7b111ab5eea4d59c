"""What profiles does about what others tell."""

from collections.abc import Sequence

from martech.kernel.module import on
from martech.modules.profiles.service import ProfileService
from martech.modules.tracking.contract import EventsTracked, TrackedEvent


@on(EventsTracked)
async def record_what_was_tracked(items: Sequence[TrackedEvent], service: ProfileService) -> None:
    """Find or make the person of each item, keep what they did and said, and tell of it."""
    await service.record(items)
