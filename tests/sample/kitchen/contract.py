"""A kitchen, for tests of the kernel: it bakes (inward) and delivers (outward)."""

from typing import Protocol


class Kitchen(Protocol):
    async def log(self) -> list[str]:
        """What was done, in the order of doing."""
        ...
