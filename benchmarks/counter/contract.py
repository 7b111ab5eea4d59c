"""Counter: the third module of the two-hop question. It counts what people do, day by day."""

from typing import Protocol


class Counter(Protocol):
    async def seen(self) -> int:
        """How many activities have been counted."""
        ...
