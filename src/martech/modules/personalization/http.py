"""The public REST API of personalization. The tenant is the key's."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from martech.kernel.messages import Request
from martech.modules.personalization.contract import (
    Members,
    Memberships,
    Preview,
    Segment,
    SegmentPage,
)
from martech.modules.personalization.service import PersonalizationService

Service = NamedDependency[PersonalizationService]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows on a page.")]
Position = Annotated[
    int | None,
    QueryParameter(
        ge=0,
        le=2**63 - 1,
        description="A page's `position`: only those who came after that, in the order of coming.",
    ),
]

READ = {"scope": "personalization:read"}
WRITE = {"scope": "personalization:write"}

CONDITION = """Who belongs: `{"all": […]}`, `{"any": […]}`, `{"not": {…}}`, a trait such as
`{"trait": "city", "is": "one_of", "value": ["Ulm", "Bonn"]}`, or behaviour such as
`{"event": "Order Completed", "at_least": 3, "within": "P30D"}`."""

Condition = Annotated[
    dict[str, object],
    Meta(
        description=CONDITION,
        examples=[
            {
                "all": [
                    {"trait": "email", "is": "exists"},
                    {"event": "Order Completed", "at_least": 100},
                    {"event": "Order Completed", "sum": "revenue", "at_least": 5000},
                ]
            }
        ],
    ),
]


class DefineSegment(Request, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    condition: Condition


class PreviewSegment(Request, frozen=True, kw_only=True):
    condition: Condition


class SegmentController(Controller):
    path = "/segments"

    @post(operation_id="createSegment", opt=WRITE)
    async def create(self, data: JSONBody[DefineSegment], service: Service) -> Segment:
        """A condition is one of these, nested up to 8 deep and of up to 100 parts:

        * `{"all": […]}`, `{"any": […]}`, `{"not": {…}}`
        * `{"trait": "city", "is": "equals", "value": "Ulm"}`. `is` may be `equals`, `not_equals`,
          `one_of` (a list), `contains` (a part of a text, or an element of a list), `at_least`,
          `more_than`, `at_most`, `less_than`, `exists` and `missing` (without `value`). Numbers are
          compared with numbers and texts with texts; dates are texts like `2026-12-01`. Of a trait
          that is missing all but `missing` is false: for "is not, or we do not know" say `not`.
        * `{"event": "Order Completed", "at_least": 3}` counts how often something was done. Bounds
          are `at_least`, `more_than`, `at_most` and `less_than`: one, or a lower and an upper one.
        * `{"event": "Order Completed", "sum": "revenue", "at_least": 5000}` adds up a property,
          exactly, to six decimals. What is no number adds nothing.
        * Either may have `within`, a duration up to now such as `P30D`, `P2W` or `PT12H`; and
          `where`, a list of `{"property": "channel", "is": "equals", "value": "web"}` that must
          all hold, over the properties at the top level.

        It is computed from the past at once: `ready` is false and `progress` grows meanwhile.
        """
        return await service.create_segment(data.name, data.condition)

    @get(operation_id="listSegments", opt=READ)
    async def page(
        self, service: Service, after: FromQuery[str | None] = None, limit: Limit = 100
    ) -> SegmentPage:
        """In the order in which they were made."""
        return await service.segments(after=after, limit=limit)

    @post("/preview", operation_id="previewSegment", opt=READ, status_code=200)
    async def preview(self, data: JSONBody[PreviewSegment], service: Service) -> Preview:
        """Who would belong to it, and nothing is saved."""
        return await service.preview(data.condition)

    @get("/{segment_id:uuid}", operation_id="getSegment", opt=READ)
    async def segment(self, segment_id: FromPath[UUID], service: Service) -> Segment:
        return await service.segment(segment_id)

    @put("/{segment_id:uuid}", operation_id="changeSegment", opt=WRITE)
    async def change(
        self, segment_id: FromPath[UUID], data: JSONBody[DefineSegment], service: Service
    ) -> Segment:
        """Another condition is another `version`, and computed anew: who belonged before belongs
        until they are looked at."""
        return await service.change_segment(segment_id, data.name, data.condition)

    @delete("/{segment_id:uuid}", operation_id="deleteSegment", opt=WRITE)
    async def remove(self, segment_id: FromPath[UUID], service: Service) -> None:
        """At once; everybody in it is told to have left."""
        await service.delete_segment(segment_id)

    @get("/{segment_id:uuid}/members", operation_id="listMembers", opt=READ)
    async def members(
        self,
        segment_id: FromPath[UUID],
        service: Service,
        after: FromQuery[str | None] = None,
        limit: Limit = 1000,
        entered_after: Position = None,
    ) -> Members:
        """Profile ids in ascending order; 503 until the segment is ready."""
        return await service.members(
            segment_id, after=after, limit=limit, entered_after=entered_after
        )


class PersonController(Controller):
    path = "/people"

    @get("/{profile_id:uuid}/segments", operation_id="listMemberships", opt=READ)
    async def memberships(self, profile_id: FromPath[UUID], service: Service) -> Memberships:
        """To what a person belongs now."""
        return await service.memberships(profile_id)
