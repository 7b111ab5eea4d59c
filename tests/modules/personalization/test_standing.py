"""Whoever personalization listens to may be away."""

from pathlib import Path

import pytest

from martech.kernel.settings import Settings
from martech.modules.personalization.module import module as personalization
from tests import databases
from tests.servers import free_port
from tests.serving import serve

pytestmark = pytest.mark.anyio


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    return databases.fresh(kind, [personalization], tmp_path)


async def test_who_listens_to_peers_that_are_away_is_ready(url: str) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    peers = {"profiles": away, "content": away}
    settings = Settings(database_url=url, peers=peers, peer_secret="the peers of a test")
    async with serve([personalization], settings) as served:
        ready = await served.client.get("/health/ready")
    assert (ready.status_code, ready.json()["checks"]) == (
        200,
        {"personalization": "ok", "keys": "ok"},
    )
