"""Analytics on a host, served, with two tenants in it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from martech.kernel.auth import Follower, Keyring
from martech.kernel.clock import TestClock
from martech.kernel.host import Host
from martech.kernel.http.application import application
from martech.modules.access.domain import tenant_id
from tests.modules.analytics.counting import MODULES, START, Counter, fresh, settings
from tests.serving import alive


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    return fresh(kind, tmp_path)


@pytest.fixture
async def counter(url: str, tmp_path: Path) -> AsyncIterator[Counter]:
    clock = TestClock(START + timedelta(days=30))
    host, keyring = Host(MODULES, settings(url, tmp_path), clock=clock), Keyring()
    follower = Follower(keyring, host.issuer(), clock)
    app = application(host, keyring, follower)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        stand = Counter(host, app, client)
        for name in ("acme", "globex"):
            async with host.unit("access", tenant_id(name)) as access:
                stand.keys[name] = (await access.open_tenant(name)).keys[1].token
        await follower.catch_up()
        yield stand
