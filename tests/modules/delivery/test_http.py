"""Delivery as its callers see it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import pytest

from martech.kernel.auth import Follower, Keyring
from martech.kernel.http.application import application
from martech.modules.delivery.http.messages import MOST
from martech.modules.delivery.service import looking
from tests.modules.delivery.stand import START, Stand, made
from tests.serving import Served, alive
from tests.sinks.smtp import Sink

pytestmark = pytest.mark.anyio


class Counter:
    def __init__(self, stand: Stand, served: Served) -> None:
        self.stand = stand
        self.served = served

    async def call(
        self, method: str, path: str, body: object = None, **query: object
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.served.key('delivery:*')}"}
        asked = {name: str(value) for name, value in query.items()}
        return await self.served.client.request(
            method, f"/delivery/v1{path}", json=body, headers=headers, params=asked
        )

    async def get(self, path: str, **query: object) -> dict[str, object]:
        answer = await self.call("GET", path, **query)
        assert answer.status_code == 200, answer.text
        body: dict[str, object] = answer.json()
        return body

    async def pages(self, path: str, **query: object) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        after: dict[str, object] = {}
        while True:
            page = await self.get(path, **query, **after)
            rows += page["data"]  # type: ignore[operator]
            if page["next"] is None:
                return rows
            after = {"after": page["next"]}


@pytest.fixture
async def counter(delivery_url: str, server: Sink) -> AsyncIterator[Counter]:
    stand, keyring = made(delivery_url, server), Keyring()
    app = application(stand.host, keyring, Follower(keyring, None, stand.clock))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        served = Served(stand.host, keyring, app, client)
        served.tenant = stand.tenant
        yield Counter(stand, served)


async def test_a_send_is_shown_with_its_numbers(counter: Counter) -> None:
    send = await counter.stand.to("ada", "bob")
    await counter.stand.work()
    shown = await counter.get(f"/sends/{send.id}")
    assert (shown["status"], shown["problem"]) == ("completed", None)
    counts = shown["counts"]
    assert isinstance(counts, dict)
    assert (counts["audience"], counts["delivered"], counts["sent"]) == (2, 2, 2)
    unknown = await counter.call("GET", f"/sends/{uuid4()}")
    assert unknown.status_code == 404


async def test_sends_come_in_pages_the_newest_first(counter: Counter) -> None:
    stand = counter.stand
    await stand.publish()
    opened = []
    for number in range(5):
        opened.append(str((await stand.open(occasion=str(number))).id))
        stand.clock.move(timedelta(seconds=number % 2))
    shown = [str(row["id"]) for row in await counter.pages("/sends", limit=2)]
    assert sorted(shown) == sorted(opened)
    assert shown[0] == opened[-1]
    assert (await counter.call("GET", "/sends", after="nonsense")).status_code == 422


async def test_messages_are_found_by_send_by_status_and_by_person(counter: Counter) -> None:
    stand = counter.stand
    send = await stand.to("ada", "bob", "eve")
    ada = (await stand.messages(send))["ada"]
    await stand.consent(ada.profile_id, "denied")
    await stand.work()
    rows = await counter.pages("/messages", send_id=send.id, limit=2)
    assert len(rows) == 3
    (suppressed,) = await counter.pages("/messages", send_id=send.id, status="suppressed")
    assert suppressed["address"] == "ada@example.com"
    (hers,) = await counter.pages("/messages", profile_id=ada.profile_id)
    assert hers == suppressed
    assert await counter.get(f"/messages/{ada.id}") == suppressed
    assert (await counter.call("GET", f"/messages/{uuid4()}")).status_code == 404


LOOKED_FOR: list[dict[str, object]] = [
    {"status": "delivered"},
    {"status": "bounced"},
    {"status": "failed"},
    {"send_id": 1, "status": "delivered"},
    {"send_id": 1, "status": "ambiguous"},
    {"profile_id": 1},
    {"profile_id": 1, "status": "delivered"},
    {"profile_id": 1, "send_id": 1},
    {"profile_id": 1, "send_id": 1, "status": "delivered"},
]


async def test_a_page_looks_through_few_messages_however_many_there_are(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "WALKED", 3)
    stand = counter.stand
    stand.sink.faults.plant("rcpt:550:b*@*")
    send = await stand.to("ada", "bob", "eve", "kim", "lea", "mia", "ben", "tom")
    await stand.work()
    rows = await counter.pages("/messages")
    ada = next(row for row in rows if row["address"] == "ada@example.com")
    ids = {"send_id": str(send.id), "profile_id": str(ada["profile_id"])}
    for wanted in LOOKED_FOR:
        said = {name: ids.get(name, value) for name, value in wanted.items()}
        fits = [row for row in rows if all(row[name] == value for name, value in said.items())]
        assert await counter.pages("/messages", limit=2, **said) == fits, wanted
        assert len(fits) == {"bounced": 2, "failed": 0, "ambiguous": 0}.get(
            str(wanted.get("status")), 1 if "profile_id" in wanted else 6
        ), wanted


async def test_what_is_rare_is_not_looked_for_among_millions(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "WALKED", 3)
    await counter.stand.to("ada", "bob", "eve", "kim")
    page = await counter.get("/messages", status="failed")
    assert page["data"] == []
    assert (await counter.get("/messages", status="failed", after=page["next"]))["next"] is None


async def test_a_send_is_paused_changed_resumed_and_cancelled(counter: Counter) -> None:
    stand = counter.stand
    send = await stand.to("ada", "bob")
    paused = await counter.call("POST", f"/sends/{send.id}/pause")
    assert (paused.status_code, paused.json()["status"]) == (200, "paused")
    await stand.work()
    assert stand.mailed() == []
    changed = await counter.call("PATCH", f"/sends/{send.id}", {"rate": 2.5})
    assert changed.json()["rate"] == 2.5
    assert (await counter.call("PATCH", f"/sends/{send.id}", {"rate": 0})).status_code in (400, 422)
    resumed = await counter.call("POST", f"/sends/{send.id}/resume")
    assert resumed.json()["status"] == "open"
    cancelled = await counter.call("POST", f"/sends/{send.id}/cancel")
    assert cancelled.json()["counts"]["cancelled"] == 2
    again = await counter.call("POST", f"/sends/{send.id}/resume")
    assert again.status_code == 409


@pytest.mark.parametrize("order", ["completed", "cancelled"])
async def test_a_send_that_is_over_keeps_its_rate(counter: Counter, order: str) -> None:
    stand = counter.stand
    send = await stand.to("ada")
    if order == "completed":
        await stand.work()
    else:
        await counter.call("POST", f"/sends/{send.id}/cancel")
    changed = await counter.call("PATCH", f"/sends/{send.id}", {"rate": 2.5})
    assert changed.status_code == 409
    assert order in changed.json()["detail"]
    assert (await counter.get(f"/sends/{send.id}"))["rate"] is None


async def test_a_reconciliation_takes_what_stands_in_the_servers_log(
    counter: Counter,
) -> None:
    stand = counter.stand
    send = await stand.to("ada")
    async with stand.service() as service:
        held = await service.hold(send.id)
        await service.claim(held, 0, 10)
        await service.finish(held)
    await stand.work()
    (lost,) = await counter.pages("/messages", status="ambiguous")
    problem = str((await counter.get(f"/sends/{send.id}"))["problem"])
    assert "POST /delivery/v1/reconciliations" in problem
    body: dict[str, object] = {"accepted": [f"<{lost['id']}@shop.example>", "<other@x>"]}
    body["since"] = START.isoformat()
    early = {**body, "until": (stand.clock.now() + timedelta(hours=1)).isoformat()}
    assert (await counter.call("POST", "/reconciliations", early)).status_code == 422
    whole = {**body, "until": stand.clock.now().isoformat()}
    answer = await counter.call("POST", "/reconciliations", whole)
    assert answer.json() == {
        "delivered": 1,
        "pending": 0,
        "cancelled": 0,
        "ambiguous": 0,
        "more": False,
    }
    assert (await counter.get(f"/sends/{send.id}"))["status"] == "completed"


async def test_a_reconciliation_takes_as_many_lines_as_it_promises(counter: Counter) -> None:
    lines = [
        f"<{UUID(int=number)}@a.long.name.of.a.server.that.nobody.knows>" for number in range(MOST)
    ]
    answer = await counter.call("POST", "/reconciliations", {"accepted": lines})
    assert (answer.status_code, answer.json()["delivered"]) == (200, 0)
    more = await counter.call("POST", "/reconciliations", {"accepted": [*lines, "<one@more>"]})
    assert (more.status_code, more.json()["field"]) == (422, "accepted")


@pytest.mark.parametrize("odd", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
async def test_a_time_that_no_utc_reaches_is_refused_by_its_name(
    counter: Counter, odd: str
) -> None:
    send = await counter.stand.to("ada")
    ada = (await counter.stand.messages(send))["ada"]
    preview = f"/sends/{send.id}/preview"
    shown = await counter.call("GET", preview, profile_id=ada.profile_id, at=odd)
    assert (shown.status_code, shown.json()["field"]) == (422, "at")
    for field, other in (("since", "until"), ("until", "since")):
        body = {"accepted": [], field: odd, other: START.isoformat()}
        answer = await counter.call("POST", "/reconciliations", body)
        assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_addresses_are_suppressed_listed_and_freed(counter: Counter) -> None:
    for address in ("Ada@Example.com", "bob@example.com", "eve@example.com"):
        added = await counter.call("POST", "/suppressions", {"address": address})
        assert added.status_code == 201
    listed = await counter.pages("/suppressions", limit=2)
    assert [row["address"] for row in listed] == [
        "ada@example.com",
        "bob@example.com",
        "eve@example.com",
    ]
    (found,) = await counter.pages("/suppressions", address="ADA@example.com")
    assert (found["reason"], found["source"]) == ("manual", "api")
    assert (await counter.call("DELETE", "/suppressions/ada@example.com")).status_code == 204
    assert (await counter.call("DELETE", "/suppressions/ada@example.com")).status_code == 404
    wrong = await counter.call("POST", "/suppressions", {"address": "nobody"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "address")


@pytest.mark.parametrize(
    "address",
    ["sales/emea@example.com", "/a//b@example.com", "50%2fa@example.com", "a+b@x.example"],
)
async def test_whatever_is_in_an_address_it_can_be_freed(counter: Counter, address: str) -> None:
    other = address.replace("//", "/").replace("%2f", "/").lstrip("/")
    for each in {address, other}:
        added = await counter.call("POST", "/suppressions", {"address": each})
        assert added.status_code == 201
    path = f"/suppressions/{quote(address, safe='')}"
    assert (await counter.call("DELETE", path)).status_code == 204
    left = [row["address"] for row in await counter.pages("/suppressions")]
    assert left == [each for each in [other] if each != address]
    assert (await counter.call("DELETE", path)).status_code == 404


async def test_the_status_says_how_the_mail_server_was_found(counter: Counter) -> None:
    stand = counter.stand
    shown = f"smtp://{stand.sink.host}:{stand.sink.port}"
    assert await counter.get("/status") == {
        "server": shown,
        "reachable": None,
        "error": None,
        "since": None,
        "problem": None,
    }
    await stand.to("ada")
    await stand.work()
    found = await counter.get("/status")
    assert (found["server"], found["reachable"]) == (shown, True)
