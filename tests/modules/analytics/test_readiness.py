"""A store that cannot be asked is not ready."""

from pathlib import Path

import httpx
import pytest

from martech.kernel.auth import Follower, Keyring
from martech.kernel.clock import SystemClock
from martech.kernel.host import Host
from martech.kernel.http.application import application
from tests.modules.analytics.counting import MODULES, settings
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
