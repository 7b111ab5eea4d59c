"""Analytics: what happened, counted. Everything people did, in a store made for questions."""

from typing import Protocol

from martech.kernel.messages import View, reads


class Kept(View, frozen=True, kw_only=True):
    """What the store holds of a tenant."""

    events: int
    messages: int


class Analytics(Protocol):
    """What other modules may ask."""

    @reads
    async def kept(self) -> Kept:
        """How much there is to be asked about."""
        ...
