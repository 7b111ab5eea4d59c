"""The public REST API of analytics. It only reads; the tenant is the key's."""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from martech.kernel.errors import Invalid, TooMany
from martech.kernel.http.leaving import WhileThere
from martech.modules.analytics import domain
from martech.modules.analytics.contract import (
    Breakdown,
    Conversions,
    EventNames,
    Kept,
    MessageDays,
    Series,
)
from martech.modules.analytics.domain import Conversion, Interval, Measure, Measured, Type, Which
from martech.modules.analytics.service import AnalyticsService

Service = NamedDependency[AnalyticsService]

Event = Annotated[str | None, QueryParameter(description="A name; without it every event.")]
Begin = Annotated[
    str | None,
    QueryParameter(
        name="from", description="A date or a time with offset; without it, the first there is."
    ),
]
End = Annotated[
    str | None,
    QueryParameter(name="to", description="This moment does not belong to it any more."),
]
Zone = Annotated[str, QueryParameter(description="An IANA time zone.")]
Property = Annotated[
    str | None,
    QueryParameter(description="Names with dots: revenue, products.total. Lists are looked into."),
]
By = Annotated[str, QueryParameter(description="A property, such as products.category.")]
Within = Annotated[str, QueryParameter(description="An ISO 8601 duration: P14D, PT36H.")]
Source = Annotated[str, QueryParameter(description="Who sent: campaign:<id>.")]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows, or groups.")]

READ = {"scope": "analytics:read", "raises": [TooMany]}
"""Every one of them asks the store, where a tenant's questions wait their turn."""


class FiguresController(Controller):
    middleware = (WhileThere,)

    @get("/series", operation_id="getSeries", opt=READ)
    async def series(
        self,
        service: Service,
        event: Event = None,
        type: FromQuery[Type] = "track",
        measure: FromQuery[Measure] = "count",
        property: Property = None,
        interval: FromQuery[Interval] = "day",
        begin: Begin = None,
        end: End = None,
        timezone: Zone = "UTC",
    ) -> Series:
        """How often something happened, hour by hour or month by month."""
        return await service.series(
            Which(type, event),
            _measured(measure, property),
            domain.frame(interval, timezone, begin, end),
        )

    @get("/breakdown", operation_id="getBreakdown", opt=READ)
    async def breakdown(
        self,
        service: Service,
        by: By,
        event: Event = None,
        type: FromQuery[Type] = "track",
        measure: FromQuery[Measure] = "count",
        property: Property = None,
        begin: Begin = None,
        end: End = None,
        timezone: Zone = "UTC",
        limit: Limit = 20,
    ) -> Breakdown:
        """How what happened spreads over the values of a property."""
        return await service.breakdown(
            Which(type, event),
            _measured(measure, property),
            domain.path(by, "by"),
            domain.frame("month", timezone, begin, end),
            limit,
        )

    @get("/conversions", operation_id="getConversions", opt=READ)
    async def conversions(
        self,
        service: Service,
        source: Source,
        event: Event = None,
        type: FromQuery[Type] = "track",
        within: Within = "P7D",
        property: Property = None,
        by: Property = None,
        by_property: Property = None,
        interval: FromQuery[Interval] = "day",
        begin: Begin = None,
        end: End = None,
        timezone: Zone = "UTC",
        limit: Limit = 20,
    ) -> Conversions:
        """What recipients did after their message; the last message before it has the credit."""
        summed = domain.path(property, "property") if property else None
        in_groups = domain.path(by_property, "by_property") if by_property else summed
        grouped = domain.path(by, "by") if by else None
        length = domain.duration(within, "within")
        return await service.conversions(
            Conversion(
                source, Which(type, event), within, length, summed, grouped, in_groups, limit
            ),
            domain.frame(interval, timezone, begin, end),
        )

    @get("/messages", operation_id="getMessageFigures", opt=READ)
    async def messages(
        self,
        service: Service,
        source: FromQuery[str | None] = None,
        interval: FromQuery[Interval] = "day",
        begin: Begin = None,
        end: End = None,
        timezone: Zone = "UTC",
    ) -> MessageDays:
        """What became of messages, each counted when it happened first."""
        return await service.messages(source, domain.frame(interval, timezone, begin, end))

    @get("/events", operation_id="listEventNames", opt=READ)
    async def events(self, service: Service, limit: Limit = 100) -> EventNames:
        return await service.event_names(limit)

    @get("/kept", operation_id="getKept", opt=READ)
    async def kept(self, service: Service) -> Kept:
        return await service.kept()


def _measured(measure: Measure, property: str | None) -> Measured:
    if measure != "sum":
        return Measured(measure, None)
    if property is None:
        raise Invalid("Say which property is summed, such as revenue.", field="property")
    return Measured(measure, domain.path(property, "property"))
