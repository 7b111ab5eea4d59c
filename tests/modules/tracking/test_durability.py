"""An answer means durable: the server is killed, and what it has acknowledged is there."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.commands import environment, serving
from tests.modules.tracking.items import item

pytestmark = pytest.mark.timeout(120)


class Client(threading.Thread):
    """Sends one event after the other until nobody answers."""

    def __init__(self, url: str, key: str, ids: Iterator[int]) -> None:
        super().__init__(daemon=True)
        self._url, self._key, self._ids = url, key, ids
        self.sent: list[str] = []
        self.acknowledged: list[str] = []

    def run(self) -> None:
        with httpx.Client(base_url=self._url, auth=(self._key, ""), timeout=30) as http:
            for number in self._ids:
                self.sent.append(f"m{number}")
                try:
                    http.post("/v1/track", json=item(messageId=self.sent[-1])).raise_for_status()
                except httpx.TransportError:
                    return
                self.acknowledged.append(self.sent[-1])


@pytest.mark.parametrize(
    "place", ["unit.before_commit", "unit.after_commit", "outbox.after_insert"]
)
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, place: str) -> None:
    env = environment(tmp_path, MARTECH_MODULES="access,tracking")
    with serving({**env, "MARTECH_FAILPOINTS": f"{place}=kill@30"}) as server:
        keys, ids = server.keys(), itertools.count()
        clients = [Client(server.url, keys["mtw"], ids) for _ in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(60)
        assert server.process.wait(30) == -9
    sent = [message_id for client in clients for message_id in client.sent]
    acknowledged = [message_id for client in clients for message_id in client.acknowledged]
    assert len(acknowledged) > 20
    with serving(env) as server:
        secret = {"authorization": f"Bearer {keys['mts']}"}
        with httpx.Client(base_url=server.url, timeout=30) as http:
            kept = http.get("/tracking/v1/counts", headers=secret).json()["accepted"]
            assert len(acknowledged) <= kept <= len(sent)
            batch = {"batch": [item(messageId=message_id) for message_id in sent]}
            http.post("/v1/batch", json=batch, auth=(keys["mtw"], "")).raise_for_status()
            counts = http.get("/tracking/v1/counts", headers=secret).json()
    assert counts["accepted"] == len(sent)
    assert counts["duplicate"] == kept
