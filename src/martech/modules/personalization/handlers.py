"""What personalization does about what others tell."""

from collections.abc import Sequence

from martech.kernel.module import on
from martech.modules.personalization.service import PersonalizationService
from martech.modules.profiles.contract import (
    Activity,
    ActivityRecorded,
    ProfileChange,
    ProfileChanged,
    ProfilesMerged,
)


@on(ActivityRecorded, ProfileChanged, ProfilesMerged)
async def keep_segments_current(
    news: Sequence[Activity | ProfileChange | ProfilesMerged], service: PersonalizationService
) -> None:
    """Keep what people did and are, and who belongs to which segment by it."""
    await service.follow(news)
