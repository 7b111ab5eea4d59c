"""What delivery does later, and out in the world."""

from martech.kernel.module import Unit, job
from martech.modules.delivery.adapters.post import Post
from martech.modules.delivery.adapters.running import Running
from martech.modules.delivery.domain.commands import CancelWaiting, Deliver, Tell
from martech.modules.delivery.jobs.lane import Lane
from martech.modules.delivery.jobs.news import News
from martech.modules.delivery.service import DeliveryService
from martech.modules.delivery.service.writing import Writer
from martech.modules.profiles.contract import Profiles
from martech.modules.tracking.contract import Tracking

__all__ = ["cancel_waiting", "deliver", "tell"]


@job(CancelWaiting, inward=True)
async def cancel_waiting(command: CancelWaiting, service: DeliveryService) -> None:
    """Cancel the next messages of a send that was cancelled, and come back until none waits."""
    await service.cancel_waiting(command.send_id)


@job(Deliver)
async def deliver(
    command: Deliver,
    unit: Unit[DeliveryService],
    post: Post,
    writer: Writer,
    running: Running,
) -> None:
    """Hand over what is due of a send, batch by batch, for a while; then let others have their
    turn."""
    await Lane(command, unit, post, writer, running).run()


@job(Tell)
async def tell(
    command: Tell,
    unit: Unit[DeliveryService],
    tracking: Tracking,
    profiles: Profiles,
    running: Running,
) -> None:
    """Tell tracking what people did with their mails, and profiles who wants no more of them."""
    await News(unit, tracking, profiles, running).tell()
