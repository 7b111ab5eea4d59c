"""What is to be sent to whom, and how it stands."""

from uuid import UUID

from msgspec import UNSET, UnsetType
from sqlalchemy import delete, insert, select

from martech.kernel.columns import new_id
from martech.kernel.errors import Conflict
from martech.kernel.paging import cursor, place
from martech.modules.campaigns import domain
from martech.modules.campaigns.contract import Campaign, CampaignPage, CampaignStatus, Status
from martech.modules.campaigns.domain import figures, states, steering
from martech.modules.campaigns.service.rows import (
    SHOWN,
    Rows,
    campaign,
    counts,
    earlier,
    not_found,
    problem,
    standing,
)
from martech.modules.campaigns.tables import campaigns

BESIDE = ("expected", "stage", "counts", "earlier", "updated_at")
PLANNED = ("name", "segment_id", "content_id", "rate")
STANDING = (*SHOWN, *(campaigns.c[name] for name in BESIDE))


class Planning(Rows):
    async def plan(
        self, name: str, *, segment_id: UUID, content_id: UUID, rate: float | None = None
    ) -> Campaign:
        """A draft. Whether its segment and content are there is seen at the launch: they may be
        made after it."""
        row = {
            "tenant": self.tx.tenant,
            "id": (campaign_id := new_id()),
            "name": domain.title(name),
            "segment_id": segment_id,
            "content_id": content_id,
            "rate": rate,
            "status": "draft",
            "stage": "new",
            "ordered": 0,
            "settled": 0,
            "created_at": self.tx.now,
            "updated_at": self.tx.now,
        }
        await self.tx.execute(insert(campaigns), [row])
        planned = {name: row[name] for name in PLANNED}
        self.tx.audit("campaign.plan", f"campaign:{campaign_id}", **planned)
        return await self.campaign(campaign_id)

    async def campaign(self, campaign_id: UUID) -> Campaign:
        mine = select(*SHOWN).where(*self._mine(campaign_id))
        row = (await self.tx.execute(mine)).mappings().one_or_none()
        if row is None:
            raise not_found(campaign_id)
        return campaign(row)

    async def campaigns(
        self, *, status: Status | None = None, after: str | None = None, limit: int = 100
    ) -> CampaignPage:
        mine = select(*SHOWN).where(campaigns.c.tenant == self.tx.tenant)
        if status is not None:
            mine = mine.where(campaigns.c.status == status)
        if after is not None:
            mine = mine.where(campaigns.c.id < place(after, tuple[UUID])[0])
        mine = mine.order_by(campaigns.c.id.desc()).limit(limit + 1)
        rows = (await self.tx.execute(mine)).mappings().all()
        more = cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
        return CampaignPage(data=[campaign(row) for row in rows[:limit]], next=more)

    async def status(self, campaign_id: UUID) -> CampaignStatus:
        mine = select(*STANDING).where(*self._mine(campaign_id))
        row = (await self.tx.execute(mine)).mappings().one_or_none()
        if row is None:
            raise not_found(campaign_id)
        last = counts(row)
        whole = figures.altogether(last, earlier(row).values())
        sealed = row["stage"] == "sealed" or row["status"] == "completed"
        return CampaignStatus(
            id=campaign_id,
            name=row["name"],
            status=row["status"],
            problem=problem(row),
            remark=figures.remark(last, row["status"]),
            scheduled_at=row["scheduled_at"],
            launched_at=row["launched_at"],
            completed_at=row["completed_at"],
            expected=row["expected"],
            sealed=sealed,
            counts=whole,
            rates=figures.rates(whole),
            progress=figures.progress(last, row["expected"], row["status"], sealed=sealed),
            updated_at=row["updated_at"],
        )

    async def change(
        self,
        campaign_id: UUID,
        *,
        name: str | UnsetType = UNSET,
        segment_id: UUID | UnsetType = UNSET,
        content_id: UUID | UnsetType = UNSET,
        rate: float | UnsetType | None = UNSET,
    ) -> Campaign:
        """Before it is launched: what people are being sent does not change under way. How fast
        may be changed until it is over. What failed is a draft again."""
        row = await self._row(campaign_id)
        before = standing(row)
        shown = UNSET if name is UNSET else domain.title(name)
        given = {"name": shown, "segment_id": segment_id, "content_id": content_id, "rate": rate}
        changes = {key: value for key, value in given.items() if value is not UNSET}
        if changes.keys() == {"rate"} and before.status in states.UNDER_WAY:
            now = steering.obey(before, "change_rate")
            self._advance(campaign_id)
            told = {"before": row["rate"], "rate": rate}
            self.tx.audit("campaign.change_rate", f"campaign:{campaign_id}", **told)
        else:
            now = steering.obey(before, "change")
            old = {key: row[key] for key in changes}
            self.tx.audit("campaign.change", f"campaign:{campaign_id}", before=old, after=changes)
        return campaign(await self._move(row, now, **changes))

    async def delete(self, campaign_id: UUID) -> None:
        """Only before it is launched: afterwards it is part of what people were sent."""
        row = await self._row(campaign_id)
        states.obey("delete", row["status"])
        if row["launched_at"] is not None:
            raise Conflict("It was launched, and people may have had its mail. Leave it on record.")
        await self.tx.execute(delete(campaigns).where(*self._mine(campaign_id)))
        self.tx.audit("campaign.delete", f"campaign:{campaign_id}")
