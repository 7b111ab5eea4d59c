"""Content: what can be shown to people. Drafts, and published versions that never change."""

from datetime import datetime
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from martech.kernel.messages import Event, View, reads


class Template(View, frozen=True, kw_only=True):
    """What people work on. It is sent to nobody: a published version of it is."""

    id: UUID
    name: str
    revision: int
    """One more with every change; a change says which one it is based on."""

    subject: str
    mjml: str | None
    html: str | None
    """Of these two, at most one."""

    text: str | None
    """Derived from the HTML when it is published, if null."""

    sample: dict[str, object]
    """Values to lint and preview with: ``{"profile": {"first_name": "Ada"}}``."""

    status: Literal["draft", "published", "withdrawn"]
    version: int | None
    """The latest that was published."""

    created_at: datetime
    changed_at: datetime


class Listed(View, frozen=True, kw_only=True):
    """A template without what is written in it, which may be long."""

    id: UUID
    name: str
    revision: int
    subject: str
    status: Literal["draft", "published", "withdrawn"]
    version: int | None
    created_at: datetime
    changed_at: datetime


class Templates(View, frozen=True, kw_only=True):
    data: list[Listed]
    next: str | None


class Finding(View, frozen=True, kw_only=True):
    """Something to mend. Errors keep a template from being published. Lines count from 1."""

    level: Literal["error", "warning"]
    message: str
    part: str
    line: int
    column: int


class Findings(View, frozen=True, kw_only=True):
    data: list[Finding]
    next: None = None


class Preview(View, frozen=True, kw_only=True):
    """A mail as whoever the sample describes would get it."""

    subject: str
    html: str
    text: str


class Published(View, frozen=True, kw_only=True):
    """One version of a mail as it will be sent. The three texts are Liquid templates.

    What they may name is filled in by the sender: ``profile.<trait>``, ``profile.id`` and
    ``unsubscribe_url``.
    """

    content_id: UUID
    name: str
    version: int
    """1 for the first; every publication adds one."""

    subject: str
    html: str
    """MJML is compiled and CSS inlined: what remains to be filled in is Liquid."""

    text: str
    published_at: datetime


class Version(View, frozen=True, kw_only=True):
    """What was published when; the whole of it is asked for by its number."""

    version: int
    name: str
    subject: str
    published_at: datetime


class Versions(View, frozen=True, kw_only=True):
    data: list[Version]
    """Oldest first."""

    next: str | None


class ContentPublished(Event, frozen=True, kw_only=True):
    """There is a new version; it is told whole, so that whoever sends it need not ask."""

    SUBJECT: ClassVar[str] = "content_id"

    content_id: UUID
    name: str
    version: int
    subject: str
    html: str
    text: str
    published_at: datetime


class ContentWithdrawn(Event, frozen=True, kw_only=True):
    """Nobody is to be shown its versions any more, up to this one. They stay withdrawn; a later
    publication is a version of its own."""

    SUBJECT: ClassVar[str] = "content_id"

    content_id: UUID
    version: int | None = None
    """The latest at that time. Null where it was told before it was said which: all until then."""


class Content(Protocol):
    """What other modules may ask."""

    @reads
    async def published(self, content_id: UUID, *, version: int | None = None) -> Published:
        """A version, or without *version* the latest. Raises `NotFound`, also when withdrawn."""
        ...
