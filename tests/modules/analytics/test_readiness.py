"""A store that cannot be asked, or that nothing gets into any more, is not ready."""

from pathlib import Path

import httpx
import pytest

from martech.kernel.auth import Follower, Keyring
from martech.kernel.bus import Bus
from martech.kernel.clock import SystemClock
from martech.kernel.host import Host
from martech.kernel.http.application import application
from martech.kernel.http.health import Feeding
from martech.modules.profiles.contract import ActivityRecorded
from tests.modules.analytics.counting import MODULES, Counter, did, settings, tell
from tests.serving import alive

pytestmark = pytest.mark.anyio


async def test_a_store_that_cannot_be_asked_is_not_ready_until_it_can(
    url: str, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.write_text("where a folder should be")
    app = application(
        Host(MODULES, settings(url, gone)), Keyring(), Follower(Keyring(), None, SystemClock())
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


async def test_a_store_that_nothing_gets_into_says_so_until_something_does(
    counter: Counter,
) -> None:
    bus = Bus(counter.host)
    (people,) = [d for d in bus.deliveries if d.name == "analytics.keep_what_people_did"]
    feeding = Feeding(people, patience=0)
    assert await feeding.look() == "ok"
    assert await feeding.look() == "ok", "there is nothing to hear"
    await tell(counter.host, "profiles", ActivityRecorded(items=[did(1, "ada")]))
    told = "analytics.keep_what_people_did has taken nothing in for 0 s; 1 items wait"
    assert await feeding.look() == told
    await bus.settle()
    assert await feeding.look() == "ok"
