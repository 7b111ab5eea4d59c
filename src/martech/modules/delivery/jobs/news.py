"""What people did with their mails, on its way to those who keep it."""

from collections.abc import Sequence

from martech.kernel.module import Unit
from martech.modules.delivery.adapters.running import Running
from martech.modules.delivery.domain.people import CHANNEL
from martech.modules.delivery.domain.telling import Noted, occurrence
from martech.modules.delivery.service import DeliveryService
from martech.modules.profiles.contract import Profiles, Statement
from martech.modules.tracking.contract import Tracking

PAGE = 500
PAGES = 40
"""Of one command; then another goes on, so that no backlog is an attempt that took too long."""


class News:
    def __init__(
        self,
        unit: Unit[DeliveryService],
        tracking: Tracking,
        profiles: Profiles,
        running: Running,
    ) -> None:
        self._unit = unit
        self._tracking = tracking
        self._profiles = profiles
        self._running = running

    async def tell(self) -> None:
        """Page by page, as far as one command goes. A page that was told and not yet taken off is
        told again, and tracking knows it for the same."""
        for number in range(1, PAGES + 1):
            async with self._unit() as service:
                noted = await service.noted(PAGE)
            if not noted:
                return
            await self._opt_out([fact for fact, _ in noted if fact.kind == "unsubscribed"])
            await self._tracking.track(
                [occurrence(fact, identity) for fact, identity in noted if identity is not None]
            )
            async with self._unit() as service:
                await service.told([fact.id for fact, _ in noted], more=number == PAGES)
            if len(noted) < PAGE:
                return

    async def _opt_out(self, facts: Sequence[Noted]) -> None:
        """What they said by mail holds everywhere. Who is nobody there is passed over: our own
        suppression holds all the same."""
        said = [
            Statement(
                profile_id=fact.profile_id,
                channel=CHANNEL,
                status="denied",
                source=f"message:{fact.message_id}",
                at=fact.at,
            )
            for fact in facts
        ]
        if said:
            await self._profiles.record_consents(said)
