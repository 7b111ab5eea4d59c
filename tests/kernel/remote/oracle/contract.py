"""An oracle, for tests of remote ports: it says who asks, refuses, is slow, and remembers words."""

from typing import Protocol
from uuid import UUID

from martech.kernel.messages import Event, View, reads


class Asker(View, frozen=True):
    tenant: UUID
    principal: str | None
    correlation: UUID | None
    causation: UUID | None
    trace: str | None
    writes: bool


class WordSaid(Event, frozen=True):
    word: str


class Oracle(Protocol):
    @reads
    async def who(self) -> Asker: ...

    @reads
    async def words(self, *, after: str = "", most: int = 10) -> list[str]: ...

    @reads
    async def refuse(
        self, slug: str, detail: str, *, field: str | None = None, retry_after: int | None = None
    ) -> None: ...

    @reads
    async def stumble(self) -> None: ...

    @reads
    async def wait(self) -> None: ...

    async def say(self, word: str) -> int: ...

    async def say_and_wait(self, word: str) -> None: ...
