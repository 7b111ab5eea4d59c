"""What delivery tells, kept where a campaign's status is read."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import BindParameter, RowMapping, bindparam, select, update

from martech.modules.campaigns import domain
from martech.modules.campaigns.contract import CampaignCompleted, Counts
from martech.modules.campaigns.domain import figures, steering
from martech.modules.campaigns.service.rows import Launches, Rows, earlier, noted, standing
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
    "earlier",
    "updated_at",
)


class Following(Rows):
    async def follow(self, told: Sequence[SendProgressed]) -> None:
        """Of many about one send the last says all. Those of an earlier launch, which failed, say
        what it came to and nothing else any more."""
        latest: dict[UUID | None, dict[UUID, SendProgressed]] = {}
        for event in told:
            latest.setdefault(domain.campaign_of(event.source), {})[event.send_id] = event
        mine = select(campaigns).where(campaigns.c.tenant == self.tx.tenant).with_for_update()
        found = await self.tx.among(mine, campaigns.c.id, sorted(id_ for id_ in latest if id_))
        rows = [self._heard(row._mapping, latest[row.id]) for row in found]
        if rows:
            one = campaigns.c.tenant == self.tx.tenant, campaigns.c.id == bindparam("its_id")
            new: dict[str, BindParameter[object]] = {n: bindparam(f"new_{n}") for n in HEARD}
            await self.tx.execute(update(campaigns).where(*one).values(new), rows)

    def _heard(self, row: RowMapping, events: Mapping[UUID, SendProgressed]) -> dict[str, object]:
        sends = {domain.launch_of(row["id"], id_, row["launch"]): events[id_] for id_ in events}
        last = sends.pop(row["launch"], None)
        launches = earlier(row)
        launches |= {number: _theirs(sends[number]) for number in sends if number is not None}
        new: dict[str, object] = {name: row[name] for name in HEARD}
        new |= {"earlier": noted(launches) if launches else None, "updated_at": self.tx.now}
        if last is not None:
            new |= self._of_the_last(row, last, launches)
        return {"its_id": row["id"]} | {f"new_{name}": new[name] for name in HEARD}

    def _of_the_last(
        self, row: RowMapping, event: SendProgressed, launches: Launches
    ) -> dict[str, object]:
        before = standing(row)
        now = steering.hear(before, event.status)
        if now.ordered != before.ordered:
            self._advance(now.campaign_id)
        completed = now.status == "completed" != before.status
        if completed:
            whole = figures.altogether(_theirs(event), launches.values())
            self._tell_of_the_end(now.campaign_id, whole, event.at)
        return {
            "status": now.status,
            "ordered": now.ordered,
            "problem": row["problem"] if now.status == before.status else None,
            "completed_at": event.at if completed else row["completed_at"],
            "send_status": event.status,
            "send_problem": event.problem,
            "counts": msgspec.json.encode(event.counts),
        }

    def _tell_of_the_end(self, campaign_id: UUID, counts: Counts, at: datetime) -> None:
        self.tx.publish(
            CampaignCompleted(
                campaign_id=campaign_id,
                audience=counts.audience,
                delivered=counts.delivered,
                at=at,
            )
        )


def _theirs(event: SendProgressed) -> Counts:
    return msgspec.convert(event.counts, Counts, from_attributes=True)
