"""A ledger, for tests of the kernel: it writes down what the shop tells."""

from typing import Protocol

from martech.kernel.messages import View


class Books(View, frozen=True):
    lines: int
    distinct: int


class Ledger(Protocol):
    async def books(self) -> Books: ...
