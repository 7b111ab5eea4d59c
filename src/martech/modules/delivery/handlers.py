"""What delivery does about what others tell."""

from collections.abc import Sequence

from martech.kernel.module import on
from martech.modules.content.contract import ContentPublished, ContentWithdrawn
from martech.modules.delivery.service import DeliveryService
from martech.modules.profiles.contract import (
    ConsentChanged,
    ProfileChange,
    ProfileChanged,
    ProfilesMerged,
)


@on(ProfileChanged, ProfilesMerged, ConsentChanged)
async def know_recipients(
    heard: Sequence[ProfileChange | ProfilesMerged | ConsentChanged], service: DeliveryService
) -> None:
    """Keep our own copy of people: what mails say about them, where they go, who allows them."""
    await service.remember(heard)


@on(ContentPublished, ContentWithdrawn)
async def keep_contents(
    told: Sequence[ContentPublished | ContentWithdrawn], service: DeliveryService
) -> None:
    """Keep what is published, so that sending needs nobody."""
    await service.keep_content(told)
