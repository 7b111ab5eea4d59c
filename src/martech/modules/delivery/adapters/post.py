"""The way out: mails to the mail server that the settings name."""

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from martech.modules.delivery.domain.outcomes import Outcome, Posted, Reachability

Tell = Callable[[UUID, Outcome], None]
"""Told once for each mail, as soon as it is known what became of it."""


class Transport(Protocol):
    """One kind of way out."""

    async def send(self, letters: Sequence[Posted], tell: Tell, *, within: float) -> None:
        """Hand over *letters*. Every one is told of before this returns, whatever happens, even
        when it is cancelled. After *within* seconds nothing new is begun; what is left then is
        `NotTried`."""
        ...

    def status(self) -> Reachability: ...

    async def close(self) -> None: ...
