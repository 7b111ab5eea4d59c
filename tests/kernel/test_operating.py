"""What operators ask of a host, by its API. On both databases."""

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from martech.kernel import failpoints, parked
from martech.kernel.bus import Bus
from martech.kernel.settings import Settings
from tests import databases
from tests.sample.ledger.service import LedgerService
from tests.serving import Served, serve

pytestmark = pytest.mark.anyio

SECRET = "a secret of this installation's own"
PARKED = "/ledger/v1/parked"


@pytest.fixture
async def served(sample_url: str) -> AsyncIterator[Served]:
    settings = Settings(database_url=sample_url, peer_secret=SECRET)
    async with serve(databases.SAMPLE, settings) as served:
        yield served


async def park(served: Served, *numbers: int) -> None:
    """Every sale of *numbers*, each of a buyer of its own."""

    async def refuse(self: LedgerService, what: object, numbers: object) -> None:
        raise ZeroDivisionError("not today")

    for number in numbers:
        async with served.host.unit("shop", served.tenant) as shop:
            await shop.sell([number], f"buyer {number}")
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(LedgerService, "write", refuse)
        await Bus(served.host, patience=1).settle()


async def numbers(served: Served) -> list[int]:
    await Bus(served.host).settle()
    async with served.host.unit("ledger", served.tenant, write=False) as ledger:
        return [number for _, number in await ledger.read()]


async def ask(
    served: Served, method: str, path: str, body: object = None, scope: str = "ledger:operate"
) -> httpx.Response:
    return await served.client.request(method, path, json=body, headers=served.headers(scope))


async def ids(served: Served, query: str = "") -> list[str]:
    page = (await ask(served, "GET", f"{PARKED}{query}")).json()
    return [one["id"] for one in page["data"]]


async def test_what_is_parked_is_listed_in_pages_and_shown_with_its_bytes(served: Served) -> None:
    await park(served, 1, 2, 3)
    first = (await ask(served, "GET", f"{PARKED}?limit=2")).json()
    rest = (await ask(served, "GET", f"{PARKED}?limit=2&after={first['next']}")).json()
    assert (len(first["data"]), len(rest["data"]), rest["next"]) == (2, 1, None)
    assert [one["subject"] for one in first["data"] + rest["data"]] == [
        "buyer 1",
        "buyer 2",
        "buyer 3",
    ]
    shown = (await ask(served, "GET", f"{PARKED}/{first['data'][0]['id']}")).json()
    assert (shown["attempts"], shown["type"], shown["history"]) == (1, "shop.sold.v1", [])
    assert "not today" in shown["error"]
    assert shown["data"] == {"buyer": "buyer 1", "number": 1}


async def test_one_is_tried_again_and_its_history_says_by_whom(served: Served) -> None:
    await park(served, 1)
    (one,) = await ids(served)
    answer = await ask(served, "POST", f"{PARKED}/{one}/retry")
    assert answer.status_code == 204
    await park(served)  # it is still refused
    shown = (await ask(served, "GET", f"{PARKED}/{one}")).json()
    assert [act["action"] for act in shown["history"]] == ["parked.retried"]
    assert shown["history"][0]["actor"] != "operator"
    await ask(served, "POST", f"{PARKED}/{one}/retry")
    assert await numbers(served) == [1]


async def test_all_of_a_subscription_or_type_are_tried_again(served: Served) -> None:
    await park(served, 1, 2)
    none = await ask(served, "POST", f"{PARKED}/retry", {"type": "shop.price_changed.v1"})
    assert none.json() == {"retried": 0}
    every = await ask(served, "POST", f"{PARKED}/retry", {"subscription": "write_sales_down"})
    assert every.json() == {"retried": 2}
    assert await numbers(served) == [1, 2]
    refused = await ask(served, "POST", f"{PARKED}/retry", {})
    assert (refused.status_code, refused.json()["field"]) == (422, "subscription")


async def audited(served: Served) -> list[str]:
    """Which of them were tried again, as the audit has it."""
    database = served.host.databases["ledger"]
    rows = database.metadata.tables["ledger.audit"]
    async with database.across(write=False) as connection:
        found = (await connection.execute(rows.select().order_by(rows.c.number))).all()
    return [row.subject for row in found if row.action == "parked.retried"]


async def test_however_much_is_tried_again_it_is_done_by_portions(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What breaks it off leaves what was done, and the next goes on behind it."""
    monkeypatch.setattr(parked, "PORTION", 2)
    await park(served, 1, 2, 3, 4, 5)
    every, body = await ids(served), {"subscription": "write_sales_down"}
    failpoints.arm("unit.before_commit=error@2")
    try:
        broken_off = await ask(served, "POST", f"{PARKED}/retry", body)
    finally:
        failpoints.arm("")
    assert broken_off.status_code == 500
    assert await ids(served) == every[2:]
    assert await audited(served) == every[:2]
    assert (await ask(served, "POST", f"{PARKED}/retry", body)).json() == {"retried": 3}
    assert await audited(served) == every
    assert await numbers(served) == [1, 2, 3, 4, 5]


async def test_all_that_is_tried_again_twice_with_one_key_is_tried_once(served: Served) -> None:
    await park(served, 1, 2)
    headers = {**served.headers("ledger:operate"), "idempotency-key": str(uuid4())}
    body = {"type": "shop.sold.v1"}
    for _ in range(2):
        answer = await served.client.post(f"{PARKED}/retry", json=body, headers=headers)
        assert answer.json() == {"retried": 2}
    assert len(await audited(served)) == 2


async def test_what_is_given_up_is_gone_and_the_reason_is_kept(served: Served) -> None:
    await park(served, 1, 2)
    first, second = await ids(served)
    refused = await ask(served, "POST", f"{PARKED}/{first}/drop", {"reason": "  "})
    assert (refused.status_code, refused.json()["field"]) == (422, "reason")
    answer = await ask(served, "POST", f"{PARKED}/{first}/drop", {"reason": "sent by a test"})
    assert answer.status_code == 204
    assert await ids(served) == [second]
    database = served.host.databases["ledger"]
    rows = database.metadata.tables["ledger.audit"]
    async with database.across(write=False) as connection:
        (row,) = (await connection.execute(rows.select())).all()
    assert (row.action, row.subject) == ("parked.dropped", first)
    assert json.loads(row.detail)["reason"] == "sent by a test"
    again = await ask(served, "POST", f"{PARKED}/{first}/drop", {"reason": "twice"})
    assert again.status_code == 404


async def test_the_same_request_again_has_its_effect_once(served: Served) -> None:
    await park(served, 1)
    (one,) = await ids(served)
    headers = {**served.headers("ledger:operate"), "idempotency-key": str(uuid4())}
    body = {"reason": "sent by a test"}
    for _ in range(2):
        answer = await served.client.post(f"{PARKED}/{one}/drop", json=body, headers=headers)
        assert answer.status_code == 204


@pytest.mark.parametrize("scope", ["ledger:read", "ledger:write", "ledger:manage", "*:read"])
async def test_no_other_scope_will_do(served: Served, scope: str) -> None:
    refused = await ask(served, "GET", PARKED, scope=scope)
    assert refused.status_code == 403
    assert "ledger:operate" in refused.json()["detail"]


async def test_a_tenant_handles_its_own(served: Served) -> None:
    await park(served, 1)
    (one,) = await ids(served)
    theirs = {"authorization": f"Bearer {served.key('*:*', tenant=uuid4())}"}
    assert (await served.client.get(PARKED, headers=theirs)).json()["data"] == []
    for method, path, body in (
        ("GET", f"{PARKED}/{one}", None),
        ("POST", f"{PARKED}/{one}/retry", None),
        ("POST", f"{PARKED}/{one}/drop", {"reason": "not mine"}),
    ):
        answer = await served.client.request(method, path, json=body, headers=theirs)
        assert answer.status_code == 404
    every = {"subscription": "write_sales_down"}
    answer = await served.client.post(f"{PARKED}/retry", json=every, headers=theirs)
    assert answer.json() == {"retried": 0}
    assert await ids(served) == [one]


async def test_a_replay_is_asked_for_with_the_secret_of_the_installation(served: Served) -> None:
    await park(served, 1)
    body = {"subscription": "ledger.write_sales_down", "from": "0"}
    for headers in ({}, served.headers("*:*")):
        refused = await served.client.post("/_replays", json=body, headers=headers)
        assert refused.status_code == 401
    operator = {"authorization": f"Bearer {SECRET}"}
    answer = await served.client.post("/_replays", json=body, headers=operator)
    assert (answer.status_code, answer.json()["position"]) == (202, 0)
    assert await numbers(served) == [1]
    assert await ids(served) == []
    body = {"subscription": "ledger.write_sales_down", "from": "yesterday"}
    refused = await served.client.post("/_replays", json=body, headers=operator)
    assert (refused.status_code, refused.json()["field"]) == (422, "from")


async def test_without_a_secret_nobody_replays(sample_url: str) -> None:
    async with serve(databases.SAMPLE, Settings(database_url=sample_url)) as served:
        body = {"subscription": "ledger.write_sales_down", "from": "0"}
        refused = await served.client.post("/_replays", json=body)
        assert refused.status_code == 403
