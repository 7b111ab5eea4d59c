"""A store that cannot be asked is not ready."""

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from martech.kernel.auth import Follower, Issuer, Keyring
from martech.kernel.auth.keys import armour
from martech.kernel.clock import SystemClock
from martech.kernel.host import Host
from martech.kernel.http import health
from martech.kernel.http.application import application
from martech.modules.analytics.adapters import DuckStore
from tests import databases
from tests.modules.analytics.counting import Counter, settings
from tests.serving import alive, serve

pytestmark = pytest.mark.anyio


async def test_a_store_that_cannot_be_asked_is_not_ready_until_it_can(
    product_url: str, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.write_text("where a folder should be")
    keyring = Keyring([armour(Issuer(Issuer.make()).public)])
    app = application(
        Host(databases.product(), settings(product_url, gone)),
        keyring,
        Follower(keyring, None, SystemClock()),
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        away = await client.get("/health/ready")
        gone.unlink()
        gone.mkdir()
        back = await client.get("/health/ready")
    assert away.status_code == 503
    assert away.json()["checks"]["analytics.store"] == "The store does not answer."
    assert away.json()["checks"]["analytics"] == "ok"
    assert (back.status_code, back.json()["checks"]["analytics.store"]) == (200, "ok")


async def test_a_store_that_has_lost_its_tables_is_not_ready(counter: Counter) -> None:
    store = counter.host.stores["analytics"]
    assert isinstance(store, DuckStore)
    await store.file.write(lambda c: c.execute("DROP TABLE cursors").fetchall())
    answer = await counter.client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"]["analytics.store"] == "The store does not answer."


class Hanging(DuckStore):
    """Answers nobody before it is let."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked, self.answers = 0, asyncio.Event()

    async def check(self) -> None:
        self.asked += 1
        await self.answers.wait()
        await super().check()


async def test_a_store_that_hangs_is_asked_once_however_many_look(
    product_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = [
        replace(module, engines={"duckdb": Hanging}) if module.store else module
        for module in databases.product()
    ]
    async with serve(modules, settings(product_url, tmp_path)) as served:
        store = served.host.stores["analytics"]
        assert isinstance(store, Hanging)
        with monkeypatch.context() as hurried:
            hurried.setattr(health, "LONGEST_LOOK", 0)
            looks = [await served.client.get("/health/ready") for _ in range(3)]
        assert [look.status_code for look in looks] == [503] * 3
        assert store.asked == 1
        store.answers.set()
        assert (await served.client.get("/health/ready")).status_code == 200
