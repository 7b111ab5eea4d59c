"""Content: what can be shown to people. Drafts, and published versions that never change."""

from datetime import datetime
from typing import ClassVar, Protocol
from uuid import UUID

from martech.kernel.messages import Event, View, reads


class Published(View, frozen=True, kw_only=True):
    """One version of a mail as it will be sent. The three texts are Liquid templates.

    What they may name is in the sender's hands: ``profile`` (its id and traits) and
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
    """Nobody is to be shown it any more. A later publication brings it back."""

    SUBJECT: ClassVar[str] = "content_id"

    content_id: UUID


class Content(Protocol):
    """What other modules may ask."""

    @reads
    async def published(self, content_id: UUID, *, version: int | None = None) -> Published:
        """A version, or without *version* the latest. Raises `NotFound`, also when withdrawn."""
        ...
