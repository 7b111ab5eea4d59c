"""The public REST API of content. The tenant is the key's."""

import re
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter
from msgspec import Meta

from martech.kernel.errors import Invalid
from martech.kernel.http.watching import Watch
from martech.kernel.messages import Request
from martech.kernel.templates import TemplateError
from martech.modules.content.contract import (
    Findings,
    Preview,
    Published,
    Template,
    Templates,
    Versions,
)
from martech.modules.content.domain import Texts
from martech.modules.content.service import ContentService, Press

Service = NamedDependency[ContentService]
"""In a unit that begins with its first use: what is compiled is compiled before. An answer is kept
in it for an Idempotency-Key, so whoever makes one that is dear asks for it too."""

Look = NamedDependency[Watch[ContentService]]
Pressing = NamedDependency[Press]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows on a page.")]
Revision = Annotated[int, Meta(ge=1, le=2_000_000_000)]
IfMatch = Annotated[
    str | None,
    HeaderParameter(name="If-Match", description="The ETag of what the change is based on."),
]

READ = {"scope": "content:read"}
WRITE = {"scope": "content:write"}

LARGEST_BODY = 700_000
"""Bytes: a body and a text of as many characters as they may have, most of them ASCII."""

_ETAG = re.compile(r'"(\d{1,9})"')


class WriteTemplate(Request, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    subject: str = ""
    mjml: str | None = None
    html: str | None = None
    """Send mjml or html."""

    text: str | None = None
    """Left out: derived from the HTML."""

    sample: dict[str, object] = msgspec.field(default_factory=dict)
    """Values for lint and preview: ``{"profile": {"first_name": "Ada"}}``."""

    @property
    def texts(self) -> Texts:
        return Texts(subject=self.subject, mjml=self.mjml, html=self.html, text=self.text)


class ChangeTemplate(WriteTemplate, frozen=True, kw_only=True):
    revision: Revision | None = None
    """That of the template on which the change is based; or send If-Match."""


class PreviewTemplate(Request, frozen=True, kw_only=True):
    sample: dict[str, object] | None = None
    """Left out: the template's own."""


class TemplateController(Controller):
    path = "/templates"

    @post(operation_id="createTemplate", opt=WRITE, request_max_body_size=LARGEST_BODY)
    async def create(self, data: JSONBody[WriteTemplate], service: Service) -> Response[Template]:
        return _tagged(await service.create(data.name, data.texts, data.sample), 201)

    @get(operation_id="listTemplates", opt=READ)
    async def page(
        self, service: Service, after: FromQuery[str | None] = None, limit: Limit = 100
    ) -> Templates:
        """In order of making."""
        return await service.templates(after=after, limit=limit)

    @get("/{content_id:uuid}", operation_id="getTemplate", opt=READ)
    async def template(self, content_id: FromPath[UUID], service: Service) -> Response[Template]:
        return _tagged(await service.template(content_id))

    @put(
        "/{content_id:uuid}",
        operation_id="changeTemplate",
        opt=WRITE,
        request_max_body_size=LARGEST_BODY,
    )
    async def change(
        self,
        content_id: FromPath[UUID],
        data: JSONBody[ChangeTemplate],
        service: Service,
        if_match: IfMatch = None,
    ) -> Response[Template]:
        """Replaces the draft. 409 if somebody else has changed it meanwhile."""
        revision = _revision(data.revision, if_match)
        return _tagged(
            await service.change(content_id, data.name, data.texts, data.sample, revision=revision)
        )

    @post("/{content_id:uuid}/lint", operation_id="lintTemplate", opt=READ, status_code=200)
    async def lint(
        self, content_id: FromPath[UUID], service: Service, watch: Look, press: Pressing
    ) -> Findings:
        """What is wrong with the draft: errors keep it from being published."""
        template = await watch.first(lambda content: content.template(content_id))
        return await press.lint(service.tx.tenant, template, service.tx.now)

    @post(
        "/{content_id:uuid}/preview",
        operation_id="previewTemplate",
        opt={**READ, "raises": [TemplateError]},
        status_code=200,
    )
    async def preview(
        self,
        content_id: FromPath[UUID],
        data: JSONBody[PreviewTemplate],
        service: Service,
        watch: Look,
        press: Pressing,
    ) -> Preview:
        template = await watch.first(lambda content: content.template(content_id))
        return await press.preview(service.tx.tenant, template, service.tx.now, data.sample)

    @post(
        "/{content_id:uuid}/publish",
        operation_id="publishTemplate",
        opt={**WRITE, "raises": [TemplateError]},
        status_code=200,
    )
    async def publish(
        self,
        content_id: FromPath[UUID],
        service: Service,
        watch: Look,
        press: Pressing,
        if_match: IfMatch = None,
    ) -> Published:
        """A version of the draft. Publishing what has not changed gives the same one again. 409 if
        somebody changes it meanwhile."""
        revision = _tagged_with(if_match)
        found = await watch.first(lambda content: content.to_publish(content_id, revision=revision))
        if isinstance(found, Published):
            return found
        made = await press.compiled(service.tx.tenant, found)
        return await service.publish(content_id, made, revision=found.revision)

    @post(
        "/{content_id:uuid}/withdraw", operation_id="withdrawTemplate", opt=WRITE, status_code=200
    )
    async def withdraw(
        self, content_id: FromPath[UUID], service: Service, if_match: IfMatch = None
    ) -> Response[Template]:
        return _tagged(await service.withdraw(content_id, revision=_tagged_with(if_match)))

    @get("/{content_id:uuid}/versions", operation_id="listVersions", opt=READ)
    async def versions(
        self,
        content_id: FromPath[UUID],
        service: Service,
        after: FromQuery[str | None] = None,
        limit: Limit = 100,
    ) -> Versions:
        """Oldest first."""
        return await service.versions(content_id, after=after, limit=limit)

    @get("/{content_id:uuid}/versions/{version:int}", operation_id="getVersion", opt=READ)
    async def version(
        self, content_id: FromPath[UUID], version: FromPath[int], service: Service
    ) -> Published:
        return await service.version(content_id, version)


def _tagged(template: Template, status: int = 200) -> Response[Template]:
    return Response(template, status_code=status, headers={"etag": f'"{template.revision}"'})


def _revision(said: int | None, if_match: str | None) -> int:
    """What a change is based on, as the body or the header says."""
    tagged = _tagged_with(if_match)
    if said is not None and tagged not in (None, said):
        raise Invalid(
            f"revision is {said}, and If-Match says {tagged}. Send the one that you have changed.",
            field="revision",
        )
    based_on = said if said is not None else tagged
    if based_on is None:
        raise Invalid(
            "Send the revision that you have changed, or its ETag as If-Match.", field="revision"
        )
    return based_on


def _tagged_with(if_match: str | None) -> int | None:
    if if_match is None:
        return None
    tag = _ETAG.fullmatch(if_match.strip())
    if tag is None:
        raise Invalid('If-Match is no ETag of ours. Send it as it came: "3".', field="If-Match")
    return int(tag[1])
