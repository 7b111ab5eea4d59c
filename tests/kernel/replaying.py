"""What tests of replays share: the shop sells, the ledger hears of it, and may fail to."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from martech.kernel.bus import Bus
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from tests.chaos.loads import TENANT
from tests.chaos.reminding import Outside, RemindingLedger

SUBSCRIPTION = "ledger.write_sales_down"


async def sell(host: Host, *numbers: int, buyer: str = "ada") -> None:
    async with host.unit("shop", TENANT) as shop:
        await shop.sell(numbers, buyer)


async def settle(host: Host, *, patience: int = 8) -> None:
    await Bus(host, patience=patience).settle()
    await Jobs(host).settle()


def reminded(host: Host) -> Counter[int]:
    outside = host.resources["ledger"][Outside]
    assert isinstance(outside, Outside)
    return Counter(outside.reminded)


@contextmanager
def refusing(number: int) -> Iterator[None]:
    """The ledger writes no line of *number*."""
    write = RemindingLedger.write

    async def refuse(self: RemindingLedger, what: Sequence[str], numbers: Sequence[int]) -> None:
        if number in numbers:
            raise ZeroDivisionError(f"not {number}")
        await write(self, what, numbers)

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(RemindingLedger, "write", refuse)
        yield
