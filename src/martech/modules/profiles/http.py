"""The public REST API of profiles. The tenant is the key's.

A merged person's id answers with the kept person, whose ``merged`` names it: a caller that holds an
old id needs no second request, and the port answers alike.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from martech.kernel.errors import NotFound
from martech.kernel.messages import Request
from martech.modules.profiles.contract import (
    Consent,
    Consents,
    Counts,
    Entries,
    Kind,
    People,
    Profile,
    Status,
)
from martech.modules.profiles.service import ProfileService

Service = NamedDependency[ProfileService]
Limit = Annotated[
    int,
    QueryParameter(
        ge=1,
        le=1000,
        description="Rows on a page, at most: it looks through few and has 4 MB. The last page is "
        "the one without `next`.",
    ),
]
Properties = Annotated[
    str | None,
    QueryParameter(description="Only these members of properties and traits, with commas between."),
]

READ = {"scope": "profiles:read"}
WRITE = {"scope": "profiles:write"}


class RecordConsent(Request, frozen=True, kw_only=True):
    status: Status
    at: Annotated[datetime, Meta(tz=True)] | None = None
    """When the person said so; now, if left out."""

    source: Annotated[str, Meta(min_length=1, max_length=200)] = "api"
    """Where they said so: a form, a call, an import."""


class PeopleController(Controller):
    path = "/people"

    @get(operation_id="listPeople", opt=READ)
    async def page(
        self,
        service: Service,
        email: FromQuery[str | None] = None,
        after: FromQuery[str | None] = None,
        limit: Limit = 100,
    ) -> People:
        """In order of arrival; with *email*, whoever has that address."""
        if email is None:
            return await service.members(after=after, limit=limit)
        person = await service.find("email", email)
        return People(data=[person] if person else [], next=None)

    @get("/lookup", operation_id="lookUpPerson", opt={**READ, "raises": [NotFound]})
    async def look_up(
        self, service: Service, kind: FromQuery[Kind], value: FromQuery[str]
    ) -> Profile:
        person = await service.find(kind, value)
        if person is None:
            raise NotFound(f"Nobody is known by this {kind}.", field="value")
        return person

    @get("/{person_id:uuid}", operation_id="getPerson", opt=READ)
    async def person(self, person_id: FromPath[UUID], service: Service) -> Profile:
        return await service.get(person_id)

    @get("/{person_id:uuid}/timeline", operation_id="getTimeline", opt=READ)
    async def timeline(
        self,
        person_id: FromPath[UUID],
        service: Service,
        event: FromQuery[str | None] = None,
        properties: Properties = None,
        after: FromQuery[str | None] = None,
        limit: Limit = 100,
    ) -> Entries:
        """What the person did, newest first."""
        return await service.timeline(
            person_id, event=event, properties=_names(properties), after=after, limit=limit
        )

    @get("/{person_id:uuid}/consents", operation_id="listConsents", opt=READ)
    async def consents(self, person_id: FromPath[UUID], service: Service) -> Consents:
        return await service.consents(person_id)

    @put("/{person_id:uuid}/consents/{channel:str}", operation_id="recordConsent", opt=WRITE)
    async def record_consent(
        self,
        person_id: FromPath[UUID],
        channel: FromPath[str],
        data: JSONBody[RecordConsent],
        service: Service,
    ) -> Consent:
        """Adds a fact; answers with what holds now."""
        return await service.record_consent(
            person_id, channel, data.status, source=data.source, at=data.at
        )


class ActivityController(Controller):
    @get("/activities", operation_id="listActivities", opt=READ)
    async def page(
        self,
        service: Service,
        event: FromQuery[str | None] = None,
        properties: Properties = None,
        after: FromQuery[str | None] = None,
        limit: Limit = 100,
    ) -> Entries:
        """What everybody did, in the order in which it was recorded."""
        return await service.activities(
            event=event, properties=_names(properties), after=after, limit=limit
        )

    @get("/counts", operation_id="countPeople", opt=READ)
    async def counts(self, service: Service) -> Counts:
        return await service.counts()


def _names(properties: str | None) -> list[str] | None:
    """None is all of them; nothing between the commas is none."""
    return None if properties is None else [name for name in properties.split(",") if name]
