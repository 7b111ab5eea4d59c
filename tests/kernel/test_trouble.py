"""What goes wrong again and again is said once, and once that it is over."""

import asyncio
import logging

import pytest

from martech.kernel.bus import Bus, Delivery
from martech.kernel.errors import Unavailable
from martech.kernel.host import Host
from martech.kernel.trouble import Trouble

LOG = logging.getLogger("martech.kernel")


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """By the kernel: a library's thread that an earlier test left behind may speak as well."""
    ours = [each for each in caplog.records if each.name.startswith(LOG.name)]
    return [(each.levelname, each.message) for each in ours]


def test_a_reason_is_said_once_and_another_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    trouble = Trouble(LOG)
    trouble.ends("never begun")
    for why in ("refused", "refused", "silent"):
        trouble.begins("the shop is away", why)
    for _ in range(2):
        trouble.ends("the shop is back")
    trouble.begins("the shop is away", "silent")
    assert said(caplog) == [
        ("WARNING", "the shop is away: refused"),
        ("WARNING", "the shop is away: silent"),
        ("INFO", "the shop is back"),
        ("WARNING", "the shop is away: silent"),
    ]


@pytest.mark.anyio
async def test_a_bus_says_once_that_a_source_is_away_and_once_that_it_goes_on(
    sample: Host, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    steps, back = 0, asyncio.Event()

    class Away(Delivery):
        async def step(self) -> int:
            nonlocal steps
            steps += 1
            if steps <= 4:
                raise Unavailable("The shop is away.")
            back.set()
            return 0

    bus = Bus(sample, delivery=Away)
    del bus.deliveries[1:]
    running = asyncio.create_task(bus.run())
    async with asyncio.timeout(30):
        await back.wait()
        while "goes on" not in caplog.text:  # noqa: ASYNC110 - one turn of the loop
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    name = bus.deliveries[0].name
    assert said(caplog) == [
        ("WARNING", f"{name} waits: The shop is away."),
        ("INFO", f"{name} goes on"),
    ]
