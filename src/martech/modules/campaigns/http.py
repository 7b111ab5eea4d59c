"""The public REST API of campaigns. The tenant is the key's.

An order is answered when it is written down; `status` and `progress` show what comes of it.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from martech.kernel.http.watching import Watch
from martech.kernel.messages import Request
from martech.modules.campaigns.contract import Campaign, CampaignPage, CampaignStatus, Status
from martech.modules.campaigns.domain import FASTEST, SLOWEST
from martech.modules.campaigns.domain.states import OVER
from martech.modules.campaigns.service import CampaignService

Service = NamedDependency[CampaignService]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows on a page.")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Rate = Annotated[float, Meta(ge=SLOWEST, le=FASTEST)]
Moment = Annotated[datetime, Meta(tz=True)]

READ = {"scope": "campaigns:read"}
WRITE = {"scope": "campaigns:write"}


class PlanCampaign(Request, frozen=True, kw_only=True):
    name: Name
    segment_id: UUID
    content_id: UUID
    rate: Rate | None = None
    """The most messages a second; as fast as it goes, if left out."""


class ChangeCampaign(Request, frozen=True, kw_only=True):
    name: Name | UnsetType = UNSET
    segment_id: UUID | UnsetType = UNSET
    content_id: UUID | UnsetType = UNSET
    rate: Rate | UnsetType | None = UNSET


class ScheduleCampaign(Request, frozen=True, kw_only=True):
    at: Moment


class CampaignController(Controller):
    path = "/campaigns"

    @post(operation_id="planCampaign", opt=WRITE)
    async def plan(self, data: JSONBody[PlanCampaign], service: Service) -> Campaign:
        """A draft: nothing is sent before it is launched."""
        return await service.plan(
            data.name, segment_id=data.segment_id, content_id=data.content_id, rate=data.rate
        )

    @get(operation_id="listCampaigns", opt=READ)
    async def page(
        self,
        service: Service,
        status: FromQuery[Status | None] = None,
        after: FromQuery[str | None] = None,
        limit: Limit = 100,
    ) -> CampaignPage:
        """The newest first."""
        return await service.campaigns(status=status, after=after, limit=limit)

    @get("/{campaign_id:uuid}", operation_id="getCampaign", opt=READ)
    async def campaign(self, campaign_id: FromPath[UUID], service: Service) -> Campaign:
        return await service.campaign(campaign_id)

    @patch("/{campaign_id:uuid}", operation_id="changeCampaign", opt=WRITE)
    async def change(
        self, campaign_id: FromPath[UUID], data: JSONBody[ChangeCampaign], service: Service
    ) -> Campaign:
        """Before it is launched; its rate until it is over. What is left out stays as it is. What
        failed is a draft again."""
        return await service.change(
            campaign_id,
            name=data.name,
            segment_id=data.segment_id,
            content_id=data.content_id,
            rate=data.rate,
        )

    @delete("/{campaign_id:uuid}", operation_id="deleteCampaign", opt=WRITE)
    async def delete(self, campaign_id: FromPath[UUID], service: Service) -> None:
        """Before it is launched, or when its launch failed before anything was sent."""
        await service.delete(campaign_id)


class OrderController(Controller):
    path = "/campaigns/{campaign_id:uuid}"

    @post("/launch", operation_id="launchCampaign", opt=WRITE, status_code=200)
    async def launch(self, campaign_id: FromPath[UUID], service: Service) -> Campaign:
        """Fix the published version of the content, and send it to everybody in the segment. What
        failed is launched again: whoever has had its mail is left out."""
        return await service.order(campaign_id, "launch")

    @post("/schedule", operation_id="scheduleCampaign", opt=WRITE, status_code=200)
    async def schedule(
        self, campaign_id: FromPath[UUID], data: JSONBody[ScheduleCampaign], service: Service
    ) -> Campaign:
        """Launch it at a time to come; said again, at that time instead. If nobody can be reached
        within an hour of it, it is a draft again, or failed if it had begun, and says so."""
        return await service.schedule(campaign_id, data.at)

    @post("/unschedule", operation_id="unscheduleCampaign", opt=WRITE, status_code=200)
    async def unschedule(self, campaign_id: FromPath[UUID], service: Service) -> Campaign:
        """A draft again."""
        return await service.unschedule(campaign_id)

    @post("/pause", operation_id="pauseCampaign", opt=WRITE, status_code=200)
    async def pause(self, campaign_id: FromPath[UUID], service: Service) -> Campaign:
        """What is on its way at this moment still arrives."""
        return await service.order(campaign_id, "pause")

    @post("/resume", operation_id="resumeCampaign", opt=WRITE, status_code=200)
    async def resume(self, campaign_id: FromPath[UUID], service: Service) -> Campaign:
        return await service.order(campaign_id, "resume")

    @post("/cancel", operation_id="cancelCampaign", opt=WRITE, status_code=200)
    async def cancel(self, campaign_id: FromPath[UUID], service: Service) -> Campaign:
        """For good: whatever is not on its way will not be sent."""
        return await service.order(campaign_id, "cancel")


class StatusController(Controller):
    path = "/campaigns/{campaign_id:uuid}"

    @get("/status", operation_id="getCampaignStatus", opt=READ)
    async def status(
        self, campaign_id: FromPath[UUID], watch: NamedDependency[Watch[CampaignService]]
    ) -> CampaignStatus:
        """From one row; many who ask at once are answered from one look at it."""
        return await watch.shared(
            ("status", campaign_id), lambda service: service.status(campaign_id)
        )

    @get("/progress", operation_id="watchCampaign", opt=READ, media_type="text/event-stream")
    async def progress(
        self, campaign_id: FromPath[UUID], watch: NamedDependency[Watch[CampaignService]]
    ) -> Response[bytes]:
        """Its status as server-sent events: at once, and whenever it changes, until it is over."""
        return await watch.events(
            lambda service: service.status(campaign_id), over=lambda view: view.status in OVER
        )
