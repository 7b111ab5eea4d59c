"""What personalization does later."""

from martech.kernel.module import job
from martech.modules.personalization.domain.commands import Expire, Recompute
from martech.modules.personalization.service import PersonalizationService


@job(Recompute, inward=True)
async def recompute(command: Recompute, service: PersonalizationService) -> None:
    """Look at the next page of people for a segment, and come back until all were looked at."""
    await service.recompute(command)


@job(Expire, inward=True)
async def expire(command: Expire, service: PersonalizationService) -> None:
    """Judge those for whom time alone may have changed something, and come back for the next."""
    await service.expire(command)
