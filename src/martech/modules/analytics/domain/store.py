"""What analytics needs of the engine that keeps its events."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from martech.modules.analytics.contract import Kept
from martech.modules.analytics.domain.calendar import Calendar, Span
from martech.modules.analytics.domain.questions import (
    Breakdown,
    Conversion,
    Groups,
    Happened,
    Kind,
    Messages,
    Named,
    Outcome,
    Series,
    Value,
    Which,
)
from martech.modules.delivery.contract import MessageFact
from martech.modules.profiles.contract import Activity, ProfilesMerged


class EventStore(Protocol):
    """Every question is one tenant's, and sees nobody else's rows.

    People are resolved through merges when asked, so rows keep the id they came with. Answers are
    of one moment: what is written meanwhile is in all of an answer or in nothing of it. Raises
    `Timeout` for a question that takes too long, `TooMany` when the tenant has too many that wait,
    and `Unavailable` when all tenants together have. A question that is cancelled costs nothing
    more.
    """

    def keep_activities(self, tenant: UUID, activities: Sequence[Activity]) -> None:
        """Written, with the cursor, when what hears of them has heard its whole batch. Only a
        handler can; the same holds for the next two."""
        ...

    def keep_merges(self, tenant: UUID, merges: Sequence[ProfilesMerged]) -> None: ...

    def keep_messages(self, tenant: UUID, kind: Kind, facts: Sequence[MessageFact]) -> None: ...

    async def extent(self, tenant: UUID, which: Which) -> Span | None:
        """From the first to behind the last of them; None when there are none."""
        ...

    async def sent(self, tenant: UUID, source: str) -> Span | None:
        """The same of the messages that *source* sent."""
        ...

    async def told(self, tenant: UUID, source: str | None) -> Span | None:
        """The same of all facts about messages, of one source or of all."""
        ...

    async def series(self, tenant: UUID, asked: Series) -> list[Value]:
        """The slots with something in them, and the whole."""
        ...

    async def breakdown(self, tenant: UUID, asked: Breakdown) -> Groups:
        """Largest first, and by name among equals."""
        ...

    async def conversions(
        self, tenant: UUID, asked: Conversion, calendar: Calendar | None
    ) -> Outcome:
        """Without a calendar only how many recipients there are."""
        ...

    async def messages(self, tenant: UUID, asked: Messages) -> list[Happened]: ...

    async def names(self, tenant: UUID, limit: int) -> list[Named]:
        """Most frequent first."""
        ...

    async def kept(self, tenant: UUID) -> Kept: ...
