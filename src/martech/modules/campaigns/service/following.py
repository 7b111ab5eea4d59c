"""What delivery tells, kept where a campaign's status is read."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import BindParameter, RowMapping, bindparam, select, update

from martech.modules.campaigns import domain
from martech.modules.campaigns.contract import CampaignCompleted
from martech.modules.campaigns.domain import steering
from martech.modules.campaigns.service.rows import Rows, standing
from martech.modules.campaigns.tables import campaigns
from martech.modules.delivery.contract import SendProgressed

HEARD = (
    "status",
    "ordered",
    "problem",
    "completed_at",
    "send_status",
    "send_problem",
    "counts",
    "updated_at",
)


class Following(Rows):
    async def follow(self, told: Sequence[SendProgressed]) -> None:
        """Of many about one send the last says all. Those of a launch that failed say nothing any
        more."""
        latest = {event.send_id: event for event in told}
        ours = {domain.campaign_of(event.source) for event in told}
        mine = select(campaigns).where(campaigns.c.tenant == self.tx.tenant).with_for_update()
        found = await self.tx.among(mine, campaigns.c.id, sorted(id_ for id_ in ours if id_))
        rows = [
            self._heard(row._mapping, event)
            for row in found
            if (event := latest.get(standing(row._mapping).send_id))
        ]
        if rows:
            one = campaigns.c.tenant == self.tx.tenant, campaigns.c.id == bindparam("its_id")
            new: dict[str, BindParameter[object]] = {n: bindparam(f"new_{n}") for n in HEARD}
            await self.tx.execute(update(campaigns).where(*one).values(new), rows)

    def _heard(self, row: RowMapping, event: SendProgressed) -> dict[str, object]:
        before = standing(row)
        now = steering.hear(before, event.status)
        if now.ordered != before.ordered:
            self._advance(now.campaign_id)
        completed = now.status == "completed" != before.status
        if completed:
            self._tell_of_the_end(now.campaign_id, event)
        new: dict[str, object] = {
            "status": now.status,
            "ordered": now.ordered,
            "problem": row["problem"] if now.status == before.status else None,
            "completed_at": event.at if completed else row["completed_at"],
            "send_status": event.status,
            "send_problem": event.problem,
            "counts": msgspec.json.encode(event.counts),
            "updated_at": self.tx.now,
        }
        return {"its_id": now.campaign_id} | {f"new_{name}": new[name] for name in HEARD}

    def _tell_of_the_end(self, campaign_id: UUID, event: SendProgressed) -> None:
        self.tx.publish(
            CampaignCompleted(
                campaign_id=campaign_id,
                audience=event.counts.audience,
                delivered=event.counts.delivered,
                at=event.at,
            )
        )
