"""/_ports as it stands on the wire: who may ask, and what is refused in which words."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from msgspec import structs

from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests.kernel.remote.oracle.module import module as oracle
from tests.kernel.remote.serving import SECRET, served

pytestmark = pytest.mark.anyio

PEER = {"authorization": f"Bearer {SECRET}", "martech-tenant": str(uuid4())}


@pytest.fixture
async def wire(home: Host) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=home.settings.public) as client:
        yield client


async def refused(answer: httpx.Response) -> tuple[int, str, str | None]:
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    return answer.status_code, said["detail"], said.get("field")


async def test_an_answer_is_plain_json(wire: httpx.AsyncClient) -> None:
    answer = await wire.post("/_ports/oracle/say", headers=PEER, json={"word": "delphi"})
    assert (answer.status_code, answer.json()) == (200, 1)
    answer = await wire.post("/_ports/oracle/words", headers=PEER, json={})
    assert answer.json() == ["delphi"]


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer another word of that length"}, 401),
        ({"authorization": "Digest x"}, 401),
        ({"authorization": "Bearer x"}, 401),
    ],
)
async def test_only_peers_may_ask(wire: httpx.AsyncClient, shown: Any, status: int) -> None:
    said = {"martech-tenant": PEER["martech-tenant"], **shown}
    answer = await wire.post("/_ports/oracle/say", headers=said, json={"word": "delphi"})
    assert answer.status_code == status
    answer = await wire.post("/_ports/oracle/words", headers=PEER, json={})
    assert answer.json() == []


async def test_whose_routes_are_elsewhere_is_said(home: Host, peers: Settings) -> None:
    async with (
        served([], structs.replace(peers, database_url=home.settings.database_url)) as host,
        httpx.AsyncClient(base_url=host.settings.public) as wire,
    ):
        status, detail, _ = await refused(await wire.get("/oracle/v1/words"))
    assert status == 404
    assert detail.startswith("oracle is served by another host of this installation.")


async def test_a_host_without_a_secret_has_no_peers(there: Settings) -> None:
    async with (
        served([oracle], Settings(database_url=there.database_url)) as host,
        httpx.AsyncClient(base_url=host.settings.public) as wire,
    ):
        answer = await wire.post("/_ports/oracle/words", headers=PEER, json={})
    assert answer.status_code == 403
    assert "MARTECH_PEER_SECRET" in answer.json()["detail"]


WRONG: list[tuple[str, bytes, tuple[int, str, str | None]]] = [
    (
        "/_ports/delphi/words",
        b"{}",
        (404, "delphi is not hosted here; oracle are. Check MARTECH_PEERS.", None),
    ),
    (
        "/_ports/oracle/future",
        b"{}",
        (
            404,
            (
                "oracle cannot be asked 'future', but who, words, refuse, stumble, wait, say, "
                "say_and_wait. Is one of the hosts of another version?"
            ),
            None,
        ),
    ),
    (
        "/_ports/oracle/say",
        b'{"word": "delphi", "loud": true}',
        (422, "loud is not a field here. Leave it out, or mend its name.", "loud"),
    ),
    (
        "/_ports/oracle/say",
        b"{}",
        (422, "word is missing. It is required: send it.", "word"),
    ),
    (
        "/_ports/oracle/say",
        b'{"word": 7}',
        (422, "word must be a string, and a whole number was sent.", "word"),
    ),
    (
        "/_ports/oracle/words",
        b'{"most": null}',
        (422, "most must be a whole number, and null was sent.", "most"),
    ),
]


@pytest.mark.parametrize(("path", "body", "said"), WRONG, ids=[f"{r[0]} {r[1]!r}" for r in WRONG])
async def test_what_cannot_be_answered_is_refused_in_a_sentence(
    wire: httpx.AsyncClient, path: str, body: bytes, said: tuple[int, str, str | None]
) -> None:
    assert await refused(await wire.post(path, headers=PEER, content=body)) == said


@pytest.mark.parametrize("body", [b"", b"{", b'{"word": "\xff"}'])
async def test_what_is_no_json_is_malformed(wire: httpx.AsyncClient, body: bytes) -> None:
    answer = await wire.post("/_ports/oracle/say", headers=PEER, content=body)
    status, detail, _ = await refused(answer)
    assert status == 400
    assert detail.startswith("The arguments are not valid JSON")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("martech-tenant", ""),
        ("martech-tenant", "acme"),
        ("martech-principal", "somebody"),
        ("martech-principal", "e30="),
        ("martech-correlation", "7"),
        ("martech-causation", "7"),
        ("martech-time-left", "soon"),
    ],
)
async def test_a_header_that_is_wrong_is_named(
    wire: httpx.AsyncClient, header: str, value: str
) -> None:
    answer = await wire.post("/_ports/oracle/words", headers={**PEER, header: value}, json={})
    status, detail, field = await refused(answer)
    assert (status, field) == (422, header)
    assert detail.startswith(header)


async def test_what_nobody_waits_for_is_not_begun(wire: httpx.AsyncClient) -> None:
    late = {**PEER, "martech-time-left": "0"}
    answer = await wire.post("/_ports/oracle/say", headers=late, json={"word": "delphi"})
    assert await refused(answer) == (504, "oracle.say did not answer in time.", None)
    answer = await wire.post("/_ports/oracle/words", headers=PEER, json={})
    assert answer.json() == []


async def test_it_is_no_route_of_the_public(wire: httpx.AsyncClient) -> None:
    paths = (await wire.get("/openapi.json")).json()["paths"]
    assert not [path for path in paths if path.startswith("/_")]
