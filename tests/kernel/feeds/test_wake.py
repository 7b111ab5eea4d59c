"""What the database takes, LISTEN takes: who commits elsewhere is heard of at once."""

import asyncio
from uuid import UUID

import pytest

from martech.kernel.feeds.wake import watch
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests import databases

TENANT = UUID(int=1)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", ["postgresql"])
@pytest.mark.parametrize("options", ["ssl=disable", "prepared_statement_cache_size=0"])
async def test_options_in_the_url_are_the_drivers_or_sqlalchemys(
    sample_url: str, options: str, caplog: pytest.LogCaptureFixture
) -> None:
    woken = asyncio.Event()
    sign = "&" if "?" in sample_url else "?"
    settings = Settings(database_url=f"{sample_url}{sign}{options}")
    async with Host(databases.SAMPLE, settings) as host:
        watching = asyncio.create_task(watch(host.databases["shop"], woken.set))
        try:
            for _ in ("it listens", "it hears"):
                async with asyncio.timeout(30):
                    await woken.wait()
                woken.clear()
                async with host.unit("shop", TENANT) as shop:
                    await shop.change_price("tea")
        finally:
            watching.cancel()
    assert "cannot watch" not in caplog.text
