"""What campaigns does about what others tell."""

from collections.abc import Sequence

from martech.kernel.module import on
from martech.modules.campaigns.service import CampaignService
from martech.modules.delivery.contract import SendProgressed


@on(SendProgressed)
async def keep_status_current(told: Sequence[SendProgressed], service: CampaignService) -> None:
    """Note how each campaign's send stands, and end the campaign when the send has ended."""
    await service.follow(told)
