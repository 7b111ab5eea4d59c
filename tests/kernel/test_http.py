"""What every route does alike: who may call it, how it says no, what a request leaves behind."""

import gzip
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar
from uuid import uuid4

import asyncpg
import httpx
import pytest
from litestar import Controller, get

from martech.kernel.db.engines import sqlite_file
from martech.kernel.module import ManifestError, Module
from martech.kernel.settings import Settings
from tests import databases
from tests.sample.shop import http
from tests.sample.shop.module import module as shop
from tests.serving import Served, serve

pytestmark = pytest.mark.anyio

one_is_enough = pytest.mark.parametrize("kind", ["sqlite"])
"""What never reaches a database need not be told on both."""

SALES = "/shop/v1/sales"


@pytest.fixture
async def served(sample_url: str) -> AsyncIterator[Served]:
    async with serve(databases.SAMPLE, Settings(database_url=sample_url)) as served:
        yield served


def problem(response: httpx.Response, status: int) -> dict[str, object]:
    """The problem document in *response*, which must be a good one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, object] = response.json()
    assert document["status"] == status
    assert str(document["type"]).startswith("/problems/")
    assert document["title"]
    assert str(document["detail"]).endswith(".")
    assert document["request"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    return document


async def test_a_key_opens_what_its_scope_says(served: Served) -> None:
    read, write = served.headers("shop:read"), served.headers("shop:*")
    assert (await served.client.get("/shop/v1/stock", headers=read)).json() == {"left": 1000}
    refused = await served.client.post(SALES, headers=read, json={"numbers": [1]})
    assert "shop:write" in str(problem(refused, 403)["detail"])
    assert (await served.client.post(SALES, headers=write, json={"numbers": [1]})).is_success


async def test_a_key_may_come_as_basic(served: Served) -> None:
    basic = "Basic " + b64encode(f"{served.key('*:read')}:".encode()).decode()
    answer = await served.client.get("/shop/v1/whose", headers={"authorization": basic})
    assert answer.json() == {"tenant": str(served.tenant)}


@one_is_enough
@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer x", "Basic %%%", "Basic /w==", "Digest a", "Bearer é"]
)
async def test_without_a_good_key_the_answer_is_401_and_how_to_send_one(
    served: Served, header: str | None
) -> None:
    headers = {"authorization": header.encode("latin-1")} if header is not None else {}
    refused = await served.client.get("/shop/v1/stock", headers=headers)  # type: ignore[arg-type]
    problem(refused, 401)
    assert refused.headers["www-authenticate"].startswith("Bearer ")


async def test_an_expired_a_revoked_and_a_mistyped_key_are_refused(served: Served) -> None:
    now = served.host.clock.now()
    expired = served.key("*:*", expires_at=now - timedelta(seconds=1))
    good = served.key("*:*")
    revoked = served.key("*:*")
    served.keyring.revoke(served.keyring.verify(revoked, now).key, now)
    mistyped = good[:-40] + ("A" if good[-40] != "A" else "B") + good[-39:]
    for key in (expired, revoked, mistyped):
        headers = {"authorization": f"Bearer {key}"}
        problem(await served.client.get("/shop/v1/stock", headers=headers), 401)


@one_is_enough
async def test_a_write_key_never_opens_a_scoped_route(served: Served) -> None:
    key = served.key("*:*", kind="write")
    headers = {"authorization": f"Bearer {key}"}
    problem(await served.client.get("/shop/v1/stock", headers=headers), 403)


async def test_tenants_do_not_see_each_other(served: Served) -> None:
    mine = served.headers("*:*")
    theirs = {"authorization": f"Bearer {served.key('*:*', tenant=uuid4())}"}
    await served.client.post(SALES, headers=mine, json={"numbers": [1, 2, 3]})
    assert (await served.client.get("/shop/v1/stock", headers=theirs)).json() == {"left": 1000}
    assert (await served.client.get("/shop/v1/stock", headers=mine)).json() == {"left": 997}


@one_is_enough
@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 422, None),
        (b"null", 422, None),
        (b"[]", 422, None),
        (b'{"numbers"', 400, None),
        (b"{'numbers': [1]}", 400, None),
        (b'{"numbers": [1]} {}', 400, None),
        (b'{"numbers": [NaN]}', 400, None),
        (b"\xff\xfe", 400, None),
        (b'{"numbers": [1], "buyer": "\xed\xa0\x80"}', 400, None),
        (b'{"numbers": [1], "buyer": "\\ud800"}', 400, None),
        (b'{"numbers": [1], "buyer": "\\u0000"}', 400, None),
        (b'{"numbers": [1], "numbers": [2]}', 400, None),
        (b'{"numbers": [1], "traits": {"email": "a", "email": "b"}}', 400, None),
        (b"{}", 422, "numbers"),
        (b'{"numbers": ["1"]}', 422, "numbers[0]"),
        (b'{"numbers": [1.5]}', 422, "numbers[0]"),
        (b'{"numbers": [%s]}' % (b"9" * 5000), 422, "numbers[0]"),
        (b'{"numbers": [1], "colour": "red"}', 422, "colour"),
        (b'{"numbers": [1], "traits": {"email": 5}}', 422, "traits.email"),
        (b'{"numbers": [1], "traits": {"name": "x"}}', 422, "traits.name"),
        (b'{"numbers": [1], "buyer": "%s"}' % (b"x" * 21), 422, "buyer"),
        (b'{"numbers": %s1%s}' % (b"[" * 100_000, b"]" * 100_000), 422, "numbers[0]"),
    ],
)
async def test_a_bad_body_is_refused_with_its_field_and_the_cure(
    served: Served, body: bytes, status: int, field: str | None
) -> None:
    refused = await served.client.post(SALES, headers=served.headers(), content=body)
    assert problem(refused, status).get("field") == field
    stock = await served.client.get("/shop/v1/stock", headers=served.headers())
    assert stock.json() == {"left": 1000}


async def test_a_number_that_no_column_holds_is_refused(served: Served) -> None:
    body = b'{"numbers": [99999999999999999999]}'
    refused = await served.client.post(SALES, headers=served.headers(), content=body)
    assert "range" in str(problem(refused, 422)["detail"])


async def test_a_json_escape_that_only_looks_like_nul_is_no_nul(served: Served) -> None:
    body = rb'{"numbers": [1], "buyer": "a\\u0000"}'
    assert (await served.client.post(SALES, headers=served.headers(), content=body)).is_success


@one_is_enough
async def test_a_bad_parameter_is_named(served: Served) -> None:
    for value in ("0", "1001", "x", "1e9", ""):
        path = f"/shop/v1/stock?limit={value}"
        refused = await served.client.get(path, headers=served.headers())
        assert problem(refused, 422)["field"] == "limit"


@one_is_enough
async def test_a_parameter_that_the_route_does_not_take_is_refused(served: Served) -> None:
    """Passed over, a misspelt filter would answer another question."""
    refused = await served.client.get("/shop/v1/stock?limt=5", headers=served.headers())
    said = problem(refused, 422)
    assert said["field"] == "limt"
    assert str(said["detail"]).endswith("Leave it out, or send one of: limit.")
    refused = await served.client.post(f"{SALES}?dry=1", headers=served.headers())
    assert str(problem(refused, 422)["detail"]).endswith("Leave it out; none is taken.")


@one_is_enough
@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/shop/v1/prices/a%00b"), ("GET", "/shop/v1/stock?limit=%00")]
)
async def test_a_nul_in_the_address_is_refused_whatever_the_database_would_say(
    served: Served, method: str, path: str
) -> None:
    problem(await served.client.request(method, path, headers=served.headers()), 400)


@one_is_enough
async def test_what_is_not_there_and_what_is_not_allowed(served: Served) -> None:
    assert "/docs" in str(problem(await served.client.get("/nowhere"), 404)["detail"])
    refused = await served.client.delete("/shop/v1/stock", headers=served.headers())
    assert problem(refused, 405)["type"] == "/problems/method-not-allowed"
    assert "GET" in refused.headers["allow"]


@one_is_enough
async def test_a_large_body_is_refused_before_it_is_read(served: Served) -> None:
    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100_000
            yield b" " * 100_000

    sent = 0
    headers = served.headers()
    problem(await served.client.post(SALES, headers=headers, content=endless()), 413)
    assert sent <= 400_000
    announced = {**headers, "content-length": "256001"}
    refused = await served.client.post(SALES, headers=announced, content=b"{}")
    problem(refused, 413)
    assert refused.headers["connection"] == "close"


@one_is_enough
async def test_gzip_is_taken_up_to_a_limit_on_what_comes_out(served: Served) -> None:
    headers = served.headers(content_encoding="gzip")
    good = gzip.compress(b'{"numbers": [1]}')
    assert (await served.client.post(SALES, headers=headers, content=good)).is_success
    bomb = gzip.compress(b'{"numbers": [' + b" " * 5_000_000)
    problem(await served.client.post(SALES, headers=headers, content=bomb), 413)
    for broken in (good[:-5], b"no gzip", good + b"more"):
        problem(await served.client.post(SALES, headers=headers, content=broken), 400)
    other = served.headers(content_encoding="br")
    assert "br" in str(problem(await served.client.post(SALES, headers=other, content=b"{}"), 400))


async def test_an_error_of_the_module_is_told_and_nothing_is_kept(served: Served) -> None:
    refused = await served.client.put("/shop/v1/prices/gold", headers=served.headers())
    assert problem(refused, 409)["detail"] == "Gold has no price. Choose another article."
    good = await served.client.put("/shop/v1/prices/tin", headers=served.headers())
    assert good.json() == {"version": 1}


async def test_a_bug_shows_an_id_and_nothing_of_the_inside(served: Served) -> None:
    refused = await served.client.put("/shop/v1/prices/glass", headers=served.headers())
    assert problem(refused, 500)["request"] in str(problem(refused, 500)["detail"])
    assert "ZeroDivision" not in refused.text
    assert "glass" not in refused.text


@one_is_enough
async def test_a_request_keeps_the_ids_it_came_with(served: Served) -> None:
    sent = {"x-request-id": "order-7", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    answer = await served.client.get("/v1/ping", headers=sent)
    assert answer.headers["x-request-id"] == "order-7"
    other = await served.client.get("/v1/ping", headers={"x-request-id": "<script>"})
    assert other.headers["x-request-id"] != "<script>"


async def test_an_event_carries_the_trace_of_its_request(served: Served) -> None:
    traced = served.headers(traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01")
    await served.client.post(SALES, headers=traced, json={"numbers": [1]})
    (told,) = await served.host.feed("shop").read(after=0, types=["shop.sold.v1"])
    assert told.correlationid is not None
    assert told.correlationid.hex == "ab" * 16
    assert str(told.traceparent).startswith(f"00-{'ab' * 16}-")


@one_is_enough
async def test_a_browser_of_another_site_may_call(served: Served) -> None:
    asked = {
        "origin": "https://shop.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    preflight = await served.client.options("/v1/ping", headers=asked)
    assert preflight.status_code == 204
    assert "content-type" in preflight.headers["access-control-allow-headers"]
    answer = await served.client.get("/v1/ping", headers={"origin": "https://shop.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    refused = await served.client.get("/shop/v1/stock", headers={"origin": "null"})
    assert refused.headers["access-control-allow-origin"] == "*"


async def take_away(served: Served, url: str) -> None:
    """Make the databases unreachable, in the middle of everything."""
    if url.startswith("sqlite"):
        for name, database in served.host.databases.items():
            await database.engine.dispose()
            file = sqlite_file(url, name)
            file.rename(file.with_suffix(".away"))
        return
    server, _, name = url.rpartition("/")
    connection = await asyncpg.connect(f"{server}/postgres")
    await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
    )
    await connection.close()


async def test_a_database_that_is_away_is_503_and_worth_another_try(
    served: Served, sample_url: str
) -> None:
    headers = served.headers()
    assert (await served.client.get("/shop/v1/stock", headers=headers)).is_success
    await take_away(served, sample_url)
    for _ in range(2):
        refused = await served.client.get("/shop/v1/stock", headers=headers)
        problem(refused, 503)
        assert int(refused.headers["retry-after"]) >= 1
    page = (await served.client.get("/", headers={"accept": "application/json"})).json()
    assert not any(module["available"] for module in page["modules"])
    assert "does not answer" in (await served.client.get("/")).text
    assert "martech_module_available" in (await served.client.get("/metrics")).text
    ready = await served.client.get("/health/ready")
    assert ready.status_code == 503
    assert not ready.json()["ready"]
    assert (await served.client.get("/health/live")).is_success


class Silent(Controller):
    path = "/silent"

    @get(sync_to_thread=False)
    def silent(self) -> None:
        return None


class Both(Controller):
    opt: ClassVar[dict[str, object]] = {"public": True, "scope": "shop:read"}

    @get(sync_to_thread=False)
    def both(self) -> None:
        return None


class Homeless(Controller):
    @get("/homeless", opt={"public": True})
    async def homeless(self, service: http.Service) -> None:
        return None


async def start(*modules: Module) -> None:
    async with serve(modules, Settings()):
        raise AssertionError("it has started")


@pytest.mark.parametrize(
    ("controller", "said"),
    [(Silent, "who may call it"), (Both, "who may call it"), (Homeless, "has no tenant")],
)
async def test_a_route_that_says_not_who_may_call_it_stops_the_start(
    controller: type[Controller], said: str
) -> None:
    with pytest.raises(ManifestError, match=said):
        await start(replace(shop, controllers=[controller], protocols=[]))


class Rival(Controller):
    @get("/shop/v1/prices/{other:int}", opt={"public": True}, sync_to_thread=False)
    def rival(self, other: int) -> None:
        return None


class Usurper(Controller):
    @get("/health/live", opt={"public": True}, sync_to_thread=False)
    def live(self) -> None:
        return None


@pytest.mark.parametrize("controller", [Rival, Usurper])
async def test_two_owners_of_one_path_stop_the_start(controller: type[Controller]) -> None:
    ledger = replace(databases.SAMPLE[1], protocols=[controller])
    with pytest.raises(ManifestError, match=r"both claim /.*A path has one owner"):
        await start(databases.SAMPLE[0], ledger, *databases.SAMPLE[2:])
