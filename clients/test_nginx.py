"""Personalization outside, and nobody notices: a real nginx with what `martech nginx` writes, in
front of two real hosts."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection

import pytest

from clients.gate import Gate, ask, gate
from clients.platform import Platform, platform, serving
from tests.servers import free_port

pytestmark = pytest.mark.timeout(300)

SECRET = "the-secret-of-two-hosts-and-nobody-else"
PARAMETER = re.compile(r"\{[^}]*\}")
NOBODY = "00000000-0000-4000-8000-000000000000"
ORDER = {
    "type": "track",
    "userId": "ada",
    "event": "Order Completed",
    "properties": {"revenue": 100},
}
LARGEST = {"/personalization/v1/segments": 256_000, "/v1/batch": 512_000}


@dataclass(frozen=True)
class Split:
    rest: Platform
    outside: int
    """The port of the host that serves personalization."""

    gate: Gate

    @property
    def world(self) -> Platform:
        """What the world sees: one address."""
        return Platform(self.gate.port, self.rest.write_key, self.rest.secret_key)

    def routes(self, port: int) -> list[tuple[str, str]]:
        """What the modules at *port* serve, with something in the place of each parameter."""
        _, _, said = ask(port, "GET", "/openapi.json")
        return [
            (method.upper(), PARAMETER.sub(NOBODY, path))
            for path, methods in json.loads(said)["paths"].items()
            for method in methods
        ]


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Split]:
    folder, here, there = tmp_path_factory.mktemp("split"), free_port(), free_port()
    for name in ("rest", "outside", "gate"):
        (folder / name).mkdir()
    rest, outside = f"http://127.0.0.1:{here}", f"http://127.0.0.1:{there}"
    peers = f"personalization={outside}"
    with (
        platform(folder / "rest", here, MARTECH_PEERS=peers, MARTECH_PEER_SECRET=SECRET) as main,
        serving(
            folder / "outside",
            there,
            MARTECH_MODULES="personalization",
            MARTECH_PEERS=f"access={rest},profiles={rest}",
            MARTECH_PEER_SECRET=SECRET,
        ),
        gate(folder / "gate", peers, rest) as front,
    ):
        yield Split(main, there, front)


def test_every_route_leads_to_the_host_that_serves_it(split: Split) -> None:
    told = {
        split.rest.port: split.routes(split.rest.port),
        split.outside: split.routes(split.outside),
    }
    assert [len(routes) > 5 for routes in told.values()] == [True, True]
    for port, routes in told.items():
        for method, path in routes:
            came = split.gate.ask(method, path)
            assert came.host == f"127.0.0.1:{port}", (method, path)
            assert came.status == ask(port, method, path)[0], (method, path)


def test_what_nobody_else_serves_is_the_rests(split: Split) -> None:
    for path in ("/", "/docs", "/health/ready", "/openapi.json", "/personalizations", "/nowhere"):
        assert split.gate.ask("GET", path).host == f"127.0.0.1:{split.rest.port}", path


@pytest.mark.parametrize(
    "path",
    [
        "/_outbox/{module}/head?types=x",
        "//_outbox/{module}/head?types=x",
        "/%5foutbox/{module}/head?types=x",
        "/_outbox%2f{module}/head?types=x",
        "/nowhere/../_outbox/{module}/head?types=x",
        "/./_outbox/{module}/head?types=x",
        "/_ports/{module}/anything",
        "/_ports",
    ],
)
@pytest.mark.parametrize("module", ["personalization", "profiles"])
def test_what_hosts_ask_each_other_leads_nowhere(split: Split, path: str, module: str) -> None:
    shown = {"authorization": f"Bearer {SECRET}"}
    for method in ("GET", "POST"):
        came = split.gate.ask(method, path.format(module=module), headers=shown)
        assert (came.host, came.status, came.kind) == ("-", 404, "application/problem+json")


def test_the_secret_opens_what_the_gate_keeps_shut(split: Split) -> None:
    shown = {"authorization": f"Bearer {SECRET}"}
    for port, module in ((split.rest.port, "profiles"), (split.outside, "personalization")):
        assert ask(port, "GET", f"/_outbox/{module}/head?types=x", headers=shown)[0] == 200


@pytest.mark.parametrize(("path", "most"), LARGEST.items())
def test_bodies_pass_up_to_what_the_route_takes(split: Split, path: str, most: int) -> None:
    key = split.rest.write_key if path.startswith("/v1/") else split.rest.secret_key
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    fits = split.gate.ask("POST", path, b"{" + b" " * (most - 2) + b"}", headers)
    assert fits.status in (400, 422), fits  # it was read to its end, and says nothing
    assert fits.host != "-"
    over = split.gate.ask("POST", path, b"{" + b" " * (most - 1) + b"}", headers)
    assert (over.status, over.kind) == (413, "application/problem+json")


def test_a_body_that_no_route_takes_stays_outside(split: Split) -> None:
    over = split.gate.ask("POST", "/v1/batch", b" " * 6_000_000)
    assert (over.host, over.status, over.kind) == ("-", 413, "application/problem+json")
    assert json.loads(over.body)["type"] == "/problems/too-large"


def test_a_stream_arrives_while_it_goes_on_from_either_host(split: Split) -> None:
    condition = {"event": "Order Completed", "sum": "revenue", "at_least": 100}
    split.world.post("/personalization/v1/segments", {"name": "Loyal", "condition": condition})
    split.world.send([{**ORDER, "messageId": "order 1"}])
    for module in ("tracking", "personalization"):
        connection = HTTPConnection("127.0.0.1", split.gate.port, timeout=30)
        headers = {"accept": "text/event-stream", **bearer(split)}
        connection.request("GET", f"/{module}/v1/events", headers=headers)
        stream = connection.getresponse()
        lines = iter(stream.readline, b"")
        data = next(line for line in lines if line.startswith(b"data: "))
        assert json.loads(data.removeprefix(b"data: "))["source"] == f"/martech/{module}"
        connection.close()


def bearer(split: Split) -> dict[str, str]:
    return {"authorization": f"Bearer {split.rest.secret_key}"}


def test_a_host_that_is_away_is_said_so_and_the_rest_goes_on(
    tmp_path_factory: pytest.TempPathFactory, split: Split
) -> None:
    nobody = f"personalization=http://127.0.0.1:{free_port()}"
    rest = f"http://127.0.0.1:{split.rest.port}"
    with gate(tmp_path_factory.mktemp("away"), nobody, rest) as front:
        away = front.ask("GET", "/personalization/v1/segments", headers=bearer(split))
        assert (away.status, away.kind) == (503, "application/problem+json")
        assert json.loads(away.body)["type"] == "/problems/unavailable"
        there = front.ask("GET", "/campaigns/v1/campaigns", headers=bearer(split))
        assert there.status == 200
