"""What tracking does later."""

from martech.kernel.module import job
from martech.modules.tracking.domain.memory import Forget
from martech.modules.tracking.service import TrackingService


@job(Forget, inward=True)
async def forget(command: Forget, service: TrackingService) -> None:
    """Forget message ids and rejections that are past their retention, and come back tomorrow."""
    await service.forget(command)
