"""What people want of a campaign. An order is written down, and a job sees to it."""

from datetime import datetime
from uuid import UUID

from martech.modules.campaigns import domain
from martech.modules.campaigns.contract import Campaign
from martech.modules.campaigns.domain import states, steering
from martech.modules.campaigns.domain.states import Order
from martech.modules.campaigns.domain.steering import Start
from martech.modules.campaigns.service.rows import Rows, campaign, standing


class Ordering(Rows):
    async def order(
        self, campaign_id: UUID, order: Order, *, due: datetime | None = None
    ) -> Campaign:
        """Launch, pause, resume or cancel it; *due* is when its schedule has it launched. Raises
        `Conflict` with what can be done instead."""
        row = await self._row(campaign_id)
        now = steering.obey(standing(row), order)
        changed = await self._move(row, now._replace(due=due or now.due), problem=None)
        self._advance(campaign_id)
        self.tx.audit(f"campaign.{order}", f"campaign:{campaign_id}", before=row["status"])
        return campaign(changed)

    async def schedule(self, campaign_id: UUID, at: datetime) -> Campaign:
        """Have it launched at *at*, and not at any time that was said before."""
        row = await self._row(campaign_id)
        now = steering.obey(standing(row), "schedule")
        start = Start(campaign_id=campaign_id, at=domain.moment(at, self.tx.now))
        changed = await self._move(row, now, scheduled_at=start.at, problem=None)
        self.tx.enqueue(start, at=start.at, key=start.key)
        self.tx.audit("campaign.schedule", f"campaign:{campaign_id}", at=start.at)
        return campaign(changed)

    async def unschedule(self, campaign_id: UUID) -> Campaign:
        status = states.obey("unschedule", (await self._row(campaign_id))["status"])
        changed = await self._change(campaign_id, status=status, scheduled_at=None)
        self.tx.audit("campaign.unschedule", f"campaign:{campaign_id}")
        return campaign(changed)

    async def start(self, command: Start) -> None:
        """Its time has come, or has long gone by: then somebody has to want it still. Whatever was
        scheduled anew meanwhile has a command of its own."""
        row = await self._there(command.campaign_id)
        if not row or row["status"] != "scheduled" or row["scheduled_at"] != command.at:
            return
        if problem := domain.missed(command.at, self.tx.now):
            status = states.learn("missed", row["status"])
            await self._change(row["id"], status=status, scheduled_at=None, problem=problem)
            self.tx.audit("campaign.miss", f"campaign:{row['id']}", at=command.at)
        else:
            await self.order(command.campaign_id, "launch", due=command.at)
