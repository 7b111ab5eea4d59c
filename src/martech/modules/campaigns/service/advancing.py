"""How far delivery has come with what was ordered, step by step."""

from uuid import UUID

from sqlalchemy import RowMapping

from martech.modules.campaigns.contract import CampaignFailed, CampaignLaunched
from martech.modules.campaigns.domain import states, steering
from martech.modules.campaigns.domain.steering import Failed, Fixed, Outcome, Standing
from martech.modules.campaigns.service.rows import Rows, standing


class Advancing(Rows):
    async def standing(self, campaign_id: UUID) -> Standing | None:
        """None when it was deleted."""
        row = await self._there(campaign_id)
        return standing(row) if row else None

    async def record(self, before: Standing, outcome: Outcome) -> Standing | None:
        """Write down what a step from *before* led to; how it stands now, with whatever was
        ordered meanwhile."""
        row = await self._there(before.campaign_id)
        if row is None:
            return None
        now = standing(row)
        then = steering.after(now, before, outcome)
        changes = {name: getattr(then, name) for name in steering.MOVING}
        if now.status not in states.OVER:
            changes["problem"] = None  # it went on
        match outcome:
            case Fixed() if then.stage != now.stage:
                changes |= {"expected": outcome.expected, "launched_at": self.tx.now}
                self._tell_of_the_launch(row, outcome.version)
            case Failed(reason) if then.status != now.status:
                changes["problem"] = reason
                failed = CampaignFailed(campaign_id=row["id"], reason=reason, at=self.tx.now)
                self.tx.publish(failed)
        return standing(await self._change(before.campaign_id, **changes))

    async def note(self, campaign_id: UUID, problem: str) -> None:
        """Say what keeps it from going on."""
        row = await self._there(campaign_id)
        if row is not None and row["problem"] != problem and row["status"] not in states.OVER:
            await self._change(campaign_id, problem=problem)

    async def go_on(self, campaign_id: UUID) -> None:
        """Enough for one command; another takes it from here."""
        self._advance(campaign_id)

    def _tell_of_the_launch(self, row: RowMapping, version: int) -> None:
        self.tx.publish(
            CampaignLaunched(
                campaign_id=row["id"],
                name=row["name"],
                segment_id=row["segment_id"],
                content_id=row["content_id"],
                content_version=version,
                at=self.tx.now,
            )
        )
