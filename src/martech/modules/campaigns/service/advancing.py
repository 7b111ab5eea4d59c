"""How far delivery has come with what was ordered, step by step."""

from uuid import UUID

from sqlalchemy import RowMapping

from martech.modules.campaigns import domain
from martech.modules.campaigns.contract import CampaignFailed, CampaignLaunched
from martech.modules.campaigns.domain import states, steering
from martech.modules.campaigns.domain.steering import Failed, Fixed, Outcome, Standing
from martech.modules.campaigns.service.rows import Rows, standing


class Advancing(Rows):
    async def standing(self, campaign_id: UUID) -> Standing | None:
        """None when it was deleted. What its schedule has launched, and nobody was reached with
        while a neighbour was away, is given up when it is too late."""
        row = await self._there(campaign_id)
        if row is None:
            return None
        now = standing(row)
        problem = domain.missed(now.due, self.tx.now) if now.due else None
        if problem is None or now.status != "launching":
            return now
        self.tx.audit("campaign.miss", f"campaign:{campaign_id}", at=now.due)
        then = steering.give_up(now)
        if then.status == "failed":
            self._tell_of_the_failure(campaign_id, problem)
            return standing(await self._move(row, then, problem=problem))
        return standing(await self._move(row, then, problem=problem, scheduled_at=None))

    async def record(self, before: Standing, outcome: Outcome) -> Standing | None:
        """Write down what a step from *before* led to; how it stands now, with whatever was
        ordered meanwhile."""
        row = await self._there(before.campaign_id)
        if row is None:
            return None
        now = standing(row)
        then = steering.after(now, before, outcome)
        changes: dict[str, object] = {}
        if now.status != "failed":
            changes["problem"] = None  # it went on
        if then != now and steering.next_step(then) is not None:
            self._advance(now.campaign_id)  # whatever becomes of this attempt
        match outcome:
            case Fixed() if then.stage != now.stage:
                changes |= {"expected": outcome.expected, "launched_at": self.tx.now}
                self._tell_of_the_launch(row, outcome.version)
            case Failed(reason) if then.status != now.status:
                changes["problem"] = reason
                self._tell_of_the_failure(row["id"], reason)
        return standing(await self._move(row, then, **changes))

    async def note(self, campaign_id: UUID, error: Exception) -> None:
        """Say what keeps it from going on. Why it failed, or that it is complete, says more."""
        row = await self._there(campaign_id)
        if row is None or row["status"] in ("failed", "completed"):
            return
        problem = states.problem(row["status"], error)
        if row["problem"] != problem:
            await self._change(campaign_id, problem=problem)

    def _tell_of_the_failure(self, campaign_id: UUID, reason: str) -> None:
        failed = CampaignFailed(campaign_id=campaign_id, reason=reason, at=self.tx.now)
        self.tx.publish(failed)

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
