"""What unmodified clients really sent, replayed (`python -m clients.record` writes it anew)."""

import base64
import gzip
from collections import Counter
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.modules.tracking.calling import Tracked

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parents[2] / "recordings"
STORY = {"identify": 1, "track": 3, "page": 1, "screen": 1, "group": 1, "alias": 1}


class Recorded(msgspec.Struct, forbid_unknown_fields=True):
    method: str
    path: str
    headers: dict[str, str]
    gzip: bool
    body: str


RECORDINGS = {
    file.stem: msgspec.json.decode(file.read_bytes(), type=list[Recorded])
    for file in sorted(FOLDER.glob("*.json"))
}
recordings = pytest.mark.parametrize("client", RECORDINGS)


@recordings
async def test_a_client_is_understood(tracked: Tracked, client: str) -> None:
    await replay_all(tracked, client)
    assert Counter(event.type for event in await tracked.told()) == STORY
    assert await tracked.totals() == (8, 8, 0, 0)


@recordings
async def test_what_a_client_sends_again_is_known(tracked: Tracked, client: str) -> None:
    await replay_all(tracked, client)
    await replay_all(tracked, client)
    repeated = 0 if client == "curl" else 8  # nobody writes message ids by hand
    assert await tracked.totals() == (16, 16 - repeated, repeated, 0)


@recordings
async def test_what_a_client_meant_arrives(tracked: Tracked, client: str) -> None:
    await replay_all(tracked, client)
    told = {event.event or event.type: event for event in await tracked.told()}
    order = told["Order Completed"]
    assert order.user_id == "ada"
    assert msgspec.json.decode(order.properties) == {"order_id": "1", "revenue": 12.5}
    traits = msgspec.json.decode(told["identify"].traits, type=dict[str, object])
    assert (traits["email"], traits["name"]) == ("ada@example.com", "Ada Löve 🎉")
    assert told["group"].group_id == "acme"
    assert (told["alias"].user_id, told["alias"].previous_id) == ("ada", "device-1")
    for event in told.values():
        assert event.timestamp <= event.received_at


async def replay_all(tracked: Tracked, client: str) -> None:
    for request in RECORDINGS[client]:
        answer = await replay(tracked, request)
        assert answer.is_success, answer.text
        if request.method == "POST":
            assert (answer.status_code, answer.json()) == (200, {"success": True})


async def replay(tracked: Tracked, request: Recorded) -> httpx.Response:
    def known(text: str) -> str:
        basic = base64.b64encode(f"{tracked.write_key}:".encode()).decode()
        return text.replace("{WRITE_KEY}", basic).replace("WRITE_KEY", tracked.write_key)

    body = known(request.body).encode()
    return await tracked.served.client.request(
        request.method,
        known(request.path),
        headers={name: known(value) for name, value in request.headers.items()},
        content=gzip.compress(body) if request.gzip else body,
    )
