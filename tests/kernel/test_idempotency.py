"""A request sent again has its effect once and gets the answer it missed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from martech.kernel import idempotency
from martech.kernel.columns import table
from martech.kernel.errors import Conflict, Malformed
from martech.kernel.idempotency import KEPT, Answer, Sent
from martech.kernel.jobs import Jobs, forgetting
from martech.kernel.settings import Settings
from tests import databases
from tests.kitchen import running
from tests.serving import Served, serve

pytestmark = pytest.mark.anyio

PRICE = "/shop/v1/prices/tin"


@pytest.fixture
async def served(sample_url: str) -> AsyncIterator[Served]:
    async with serve(databases.SAMPLE, Settings(database_url=sample_url)) as served:
        yield served


async def kept(served: Served) -> list[bytes]:
    database = served.host.databases["shop"]
    rows = table(database.metadata, "idempotency")
    async with database.across(write=False) as connection:
        return [row.answer for row in await connection.execute(select(rows))]


async def version(served: Served) -> int:
    """How often the price was changed so far, found out by changing it."""
    answer = await served.client.put(PRICE, headers=served.headers())
    return int(answer.json()["version"]) - 1


async def test_the_first_answer_comes_again_whole(served: Served) -> None:
    headers = served.headers(idempotency_key=str(uuid4()))
    first = await served.client.put(PRICE, headers=headers)
    again = await served.client.put(PRICE, headers=headers)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for name in ("etag", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert await version(served) == 1


async def test_a_handler_that_returns_a_view_is_kept_too(served: Served) -> None:
    headers = served.headers(idempotency_key="k")
    body = {"numbers": [1, 2]}
    first = await served.client.post("/shop/v1/sales", headers=headers, json=body)
    again = await served.client.post("/shop/v1/sales", headers=headers, json=body)
    assert first.json() == again.json() == {"new": [1, 2]}
    assert again.status_code == 201


async def test_an_answer_is_for_whoever_asked(served: Served) -> None:
    """It may show what somebody else would have been refused: a new API key, for example."""
    await served.client.put(PRICE, headers=served.headers(idempotency_key="nightly"))
    other = await served.client.put(PRICE, headers=served.headers(idempotency_key="nightly"))
    assert (other.status_code, other.json()["field"]) == (422, "Idempotency-Key")
    assert await version(served) == 1


@pytest.mark.parametrize("other", ["path", "body", "method"])
async def test_a_key_belongs_to_one_request(served: Served, other: str) -> None:
    headers = served.headers(idempotency_key="k")
    await served.client.put(PRICE, headers=headers)
    path = "/shop/v1/prices/zinc" if other == "path" else PRICE
    content = b"{}" if other == "body" else b""
    if other == "method":
        path, content = "/shop/v1/sales", b'{"numbers": [1]}'
    verb = "POST" if other == "method" else "PUT"
    refused = await served.client.request(verb, path, headers=headers, content=content)
    assert refused.status_code == 422
    assert refused.json()["field"] == "Idempotency-Key"


async def test_a_key_belongs_to_one_tenant(served: Served) -> None:
    mine = served.headers(idempotency_key="k")
    theirs = {**mine, "authorization": f"Bearer {served.key('*:*', tenant=uuid4())}"}
    await served.client.put(PRICE, headers=mine)
    answer = await served.client.put(PRICE, headers=theirs)
    assert "idempotency-replayed" not in answer.headers


async def test_many_at_once_have_one_effect_and_one_answer(served: Served) -> None:
    headers = served.headers(idempotency_key="k")
    answers = await asyncio.gather(*(served.client.put(PRICE, headers=headers) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.content for answer in answers} == {b'{"version":1}'}
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert await version(served) == 1
    told = await served.host.feed("shop").read(after=0, types=["shop.price_changed.v1"])
    assert len(told) == 2


async def test_who_stumbles_over_his_own_twin_gets_its_answer(served: Served) -> None:
    headers = served.headers(idempotency_key="k")
    answers = await asyncio.gather(
        *(served.client.post("/shop/v1/orders/7", headers=headers) for _ in range(10))
    )
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, b'{"new":[7]}')}
    refused = await served.client.post("/shop/v1/orders/7", headers=served.headers())
    assert refused.status_code == 409


async def test_what_failed_left_nothing_and_may_be_sent_again(served: Served) -> None:
    headers = served.headers(idempotency_key="k")
    for path in ("/shop/v1/prices/gold", "/shop/v1/prices/glass"):
        await served.client.put(path, headers=headers)
        assert await kept(served) == []
    assert (await served.client.put(PRICE, headers=headers)).status_code == 201


async def test_reading_needs_no_key_and_keeps_no_answer(served: Served) -> None:
    headers = served.headers(idempotency_key="k")
    await served.client.get("/shop/v1/stock", headers=headers)
    assert await kept(served) == []


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("key", ["", " ", "x" * 256, "a b", "é", '"a"b"'])
async def test_a_key_that_is_no_key_is_refused(served: Served, key: str) -> None:
    headers = {k.encode(): v.encode() for k, v in served.headers().items()}
    headers[b"idempotency-key"] = key.encode()
    refused = await served.client.put(PRICE, headers=headers)  # type: ignore[arg-type]
    assert refused.status_code == 400
    assert await version(served) == 0


async def test_a_quoted_key_is_the_key(served: Served) -> None:
    """The draft quotes it, most clients do not."""
    headers = served.headers(idempotency_key='"k"')
    await served.client.put(PRICE, headers=headers)
    again = await served.client.put(PRICE, headers={**headers, "idempotency-key": "k"})
    assert again.headers["idempotency-replayed"] == "true"


async def test_who_sees_the_table_sees_no_answer(served: Served) -> None:
    await served.client.put(PRICE, headers=served.headers(idempotency_key="secret-key"))
    (sealed,) = await kept(served)
    assert b"version" not in sealed
    assert b"secret-key" not in sealed


async def test_after_a_day_a_key_is_free_again(served: Served) -> None:
    database, tenant = served.host.databases["shop"], uuid4()
    request, answer = Sent("k", b"f" * 32), Answer(201, [("etag", '"1"')], b"{}")
    async with database.transaction(tenant) as tx:
        tx.unit.now -= KEPT + timedelta(seconds=1)
        await idempotency.keep(tx, database.metadata, request, answer)
    async with database.transaction(tenant) as tx:
        assert await idempotency.first_answer(tx, database.metadata, request) is None
        await idempotency.keep(tx, database.metadata, request, answer)
    async with database.transaction(tenant, write=False) as tx:
        assert await idempotency.first_answer(tx, database.metadata, request) == answer
    assert len(await kept(served)) == 1


async def keep_long_ago(served: Served, tenant: UUID, number: int) -> None:
    database = served.host.databases["shop"]
    async with database.transaction(tenant) as tx:
        tx.unit.now -= KEPT + timedelta(seconds=1)
        for one in range(number):
            request = Sent(f"old {one}", b"f" * 32)
            await idempotency.keep(tx, database.metadata, request, Answer(200, [], b""))


async def test_no_request_waits_for_what_others_left_behind(served: Served) -> None:
    database, tenant = served.host.databases["shop"], uuid4()
    await keep_long_ago(served, tenant, 5)
    async with database.transaction(tenant) as tx:
        for key in ("old 0", "new"):
            await idempotency.keep(
                tx, database.metadata, Sent(key, b"f" * 32), Answer(200, [], b"")
            )
    assert len(await kept(served)) == 6, "its own key only is free again"


async def test_after_a_day_answers_are_forgotten_by_portions_whosever_they_are(
    served: Served,
) -> None:
    database = served.host.databases["shop"]
    await keep_long_ago(served, uuid4(), 3)
    await keep_long_ago(served, uuid4(), 2)
    await served.client.put(PRICE, headers=served.headers(idempotency_key="young"))
    for expected, left in ((True, 4), (True, 2), (False, 1)):
        async with database.unit() as unit:
            assert await idempotency.forget(unit, database.metadata, limit=2) is expected
        assert len(await kept(served)) == left


async def test_who_carries_out_jobs_forgets_answers_of_all_modules(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shop has no jobs."""
    monkeypatch.setattr(forgetting, "PAUSE", 0.01)
    await keep_long_ago(served, uuid4(), 3)
    async with running(Jobs(served.host)), asyncio.timeout(10):
        while await kept(served):
            pass


async def test_a_second_keeper_is_turned_back(served: Served) -> None:
    database, tenant = served.host.databases["shop"], uuid4()
    request, answer = Sent("k", b"f" * 32), Answer(200, [], b"")
    async with database.transaction(tenant) as tx:
        await idempotency.keep(tx, database.metadata, request, answer)
    with pytest.raises(Conflict):
        async with database.transaction(tenant) as tx:
            await idempotency.keep(tx, database.metadata, request, answer)


def test_a_fingerprint_tells_the_parts_of_a_request_apart() -> None:
    prints = {
        idempotency.sent("k", *parts, by=by).fingerprint
        for parts in (("PUT", "/a", b"b"), ("PUT", "/ab", b""), ("PUTT", "/a", b"b"))
        for by in (UUID(int=1), UUID(int=2))
    }
    assert len(prints) == 6
    with pytest.raises(Malformed):
        idempotency.sent("k\n", "PUT", "/", b"", by=uuid4())
