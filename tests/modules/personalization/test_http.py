"""The REST API of personalization, as its callers see it. On both databases."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from martech.modules.personalization.domain.catalog import catalog
from martech.modules.personalization.domain.conditions import parsed
from tests.modules.personalization.conftest import Counter

pytestmark = pytest.mark.anyio

ULM = {"trait": "city", "is": "equals", "value": "Ulm"}
PEOPLE = [UUID(int=n) for n in range(1, 6)]


async def made(counter: Counter, condition: object = ULM, name: str = "Ulm") -> dict[str, Any]:
    answer = await counter.call("POST", "/segments", {"name": name, "condition": condition})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def problem(response: httpx.Response) -> tuple[int, str | None]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json().get("field")


async def test_a_segment_is_made_and_shown(counter: Counter) -> None:
    for person in PEOPLE:
        counter.town.change(person, city="Ulm")
    await counter.town.settle()
    segment = await made(counter)
    assert (segment["version"], segment["ready"], segment["size"]) == (1, False, 0)
    assert segment["condition"] == ULM
    early = await counter.call("GET", f"/segments/{segment['id']}/members")
    assert problem(early) == (503, None)
    assert early.headers["retry-after"] == "2"
    await counter.town.work()
    shown = (await counter.call("GET", f"/segments/{segment['id']}")).json()
    assert (shown["ready"], shown["progress"], shown["size"]) == (True, 1, 5)
    found: list[str] = []
    after: dict[str, object] = {}
    while True:
        page = await counter.call("GET", f"/segments/{segment['id']}/members", limit=2, **after)
        found += page.json()["data"]
        if page.json()["next"] is None:
            break
        after = {"after": page.json()["next"]}
    assert found == [str(person) for person in PEOPLE]


async def test_segments_come_in_pages(counter: Counter) -> None:
    ids = [(await made(counter, name=f"s{n}"))["id"] for n in range(5)]
    first = (await counter.call("GET", "/segments", limit=3)).json()
    rest = (await counter.call("GET", "/segments", limit=3, after=first["next"])).json()
    assert [s["id"] for s in (*first["data"], *rest["data"])] == ids
    assert rest["next"] is None
    assert problem(await counter.call("GET", "/segments", after="x")) == (422, "after")


async def test_a_bad_condition_is_refused_with_its_path(counter: Counter) -> None:
    for condition, field in [
        ({"all": [ULM, {"event": "X"}]}, "condition.all[1].at_least"),
        ({"trait": "x", "is": "maybe"}, "condition.is"),
        ([], "condition"),
        (None, "condition"),
    ]:
        body = {"name": "x", "condition": condition}
        assert problem(await counter.call("POST", "/segments", body)) == (422, field)
        assert problem(await counter.call("POST", "/segments/preview", {"condition": condition}))
    for name in ("", "x" * 201, 5):
        body = {"name": name, "condition": ULM}
        assert problem(await counter.call("POST", "/segments", body)) == (422, "name")
    assert (await counter.call("GET", "/segments")).json()["data"] == []


async def test_a_segment_is_changed_and_deleted(counter: Counter) -> None:
    counter.town.change(PEOPLE[0], city="Ulm")
    counter.town.change(PEOPLE[1], city="Bonn")
    await counter.town.settle()
    id_ = (await made(counter))["id"]
    await counter.town.work()
    body = {"name": "Bonn", "condition": ULM | {"value": "Bonn"}}
    changed = (await counter.call("PUT", f"/segments/{id_}", body)).json()
    assert (changed["name"], changed["version"], changed["ready"]) == ("Bonn", 2, False)
    await counter.town.work()
    members = await counter.call("GET", f"/segments/{id_}/members")
    page = members.json()
    assert (page["data"], page["next"], page["version"]) == ([str(PEOPLE[1])], None, 2)
    assert (await counter.call("DELETE", f"/segments/{id_}")).status_code == 204
    for method, path in [("GET", ""), ("GET", "/members"), ("DELETE", ""), ("PUT", "")]:
        answer = await counter.call(
            method, f"/segments/{id_}{path}", body if method == "PUT" else None
        )
        assert problem(answer) == (404, None)
    assert (await counter.call("GET", "/segments")).json()["data"] == []


async def test_somebody_elses_segment_is_not_there(counter: Counter) -> None:
    counter.town.change(PEOPLE[0], city="Ulm")
    await counter.town.settle()
    id_ = (await made(counter))["id"]
    await counter.town.work()
    body = {"name": "mine", "condition": ULM}
    for method, path, sent in [
        ("GET", f"/segments/{id_}", None),
        ("GET", f"/segments/{id_}/members", None),
        ("PUT", f"/segments/{id_}", body),
        ("DELETE", f"/segments/{id_}", None),
        ("GET", f"/people/{PEOPLE[0]}/segments", None),
    ]:
        assert problem(await counter.call(method, path, sent, tenant="globex")) == (404, None)
    assert (await counter.call("GET", "/segments", tenant="globex")).json()["data"] == []
    preview = await counter.call("POST", "/segments/preview", {"condition": ULM}, tenant="globex")
    assert preview.json()["size"] == 0
    assert (await counter.call("GET", f"/segments/{id_}")).json()["name"] == "Ulm"


async def test_a_person_knows_to_what_they_belong(counter: Counter) -> None:
    ada, bob = PEOPLE[:2]
    counter.town.change(ada, city="Ulm")
    counter.town.change(bob, city="Bonn")
    counter.town.merge(ada, bob)
    await counter.town.settle()
    segment = await made(counter)
    await counter.town.work()
    wanted = [
        {
            "segment_id": segment["id"],
            "name": "Ulm",
            "since": counter.town.now.isoformat()[:-6] + "Z",
        }
    ]
    for person in (ada, bob):
        answer = await counter.call("GET", f"/people/{person}/segments")
        assert answer.json() == {"data": wanted, "next": None}
    assert problem(await counter.call("GET", f"/people/{uuid4()}/segments")) == (404, None)


async def test_a_preview_says_who_would_belong_and_saves_nothing(counter: Counter) -> None:
    town = counter.town
    for n, person in enumerate(PEOPLE):
        town.change(person, city="Ulm")
        for hours in range(n):
            town.act(person, ago=hours, revenue=10)
    town.merge(PEOPLE[3], PEOPLE[4])
    await town.settle()
    big = {"event": "Order Completed", "sum": "revenue", "at_least": 30}
    recent = {"event": "Order Completed", "at_least": 2, "within": "PT1H"}
    for condition in ({"all": [ULM, big]}, recent, {"not": big}):
        for _ in range(2):  # the second time the sum is kept of everybody anyway
            answer = await counter.call("POST", "/segments/preview", {"condition": condition})
            wanted = town.oracle.members(condition, town.now)
            body = answer.json()
            assert (answer.status_code, body["size"]) == (200, len(wanted))
            assert set(body["sample"]) == {str(person) for person in wanted}
            assert (body["exact"], body["looked_at"]) == (True, 4)
            await made(counter, big)
            await town.work()
    assert len((await counter.call("GET", "/segments")).json()["data"]) == 6


async def test_a_preview_of_very_many_is_an_estimate(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = "martech.modules.personalization.service.previewing"
    monkeypatch.setattr(f"{where}.PAGE", 10)
    monkeypatch.setattr(f"{where}.MOST_PEOPLE", 20)
    for n in range(100):
        counter.town.change(UUID(int=n), city="Ulm" if n % 2 else "Bonn")
    await counter.town.settle()
    preview = (await counter.call("POST", "/segments/preview", {"condition": ULM})).json()
    assert (preview["size"], preview["exact"], preview["looked_at"]) == (50, False, 20)
    assert len(preview["sample"]) == 10


async def test_a_preview_that_cannot_look_at_anybody_says_so(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("martech.modules.personalization.service.previewing.MOST_ROWS", 3)
    for hours in range(5):
        counter.town.act(PEOPLE[0], ago=hours)
    await counter.town.settle()
    often = {"event": "Order Completed", "at_least": 1}
    answer = await counter.call("POST", "/segments/preview", {"condition": often})
    assert (answer.status_code, "save the segment" in answer.json()["detail"]) == (504, True)


async def test_what_is_only_previewed_is_kept_nowhere(counter: Counter) -> None:
    before = parsed.cache_info().misses, catalog.cache_info().misses
    unheard = {"any": [ULM, {"event": "Never Heard Of", "at_least": 1}]}
    assert (await counter.call("POST", "/segments/preview", {"condition": unheard})).is_success
    assert (parsed.cache_info().misses, catalog.cache_info().misses) == before


async def test_there_is_an_end_to_what_all_conditions_weigh(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("martech.modules.personalization.service.defining.MOST_BYTES", 100)
    longer = {"name": "x", "condition": ULM | {"value": "U" * 80}}
    id_ = (await made(counter))["id"]
    assert problem(await counter.call("POST", "/segments", longer)) == (409, None)
    assert problem(await counter.call("PUT", f"/segments/{id_}", longer)) == (409, None)
    shorter = {"name": "x", "condition": ULM | {"value": "U"}}
    assert (await counter.call("PUT", f"/segments/{id_}", shorter)).status_code == 200


async def test_there_is_an_end_to_the_number_of_segments(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = "martech.modules.personalization.service.defining"
    monkeypatch.setattr(f"{where}.MOST", 2)
    monkeypatch.setattr(f"{where}.MOST_MEASURES", 2)
    order = {"event": "Order Completed", "at_least": 1}
    two = {"all": [order, order | {"within": "P1D"}]}
    three = {"any": [two, order | {"sum": "revenue"}]}
    body = {"name": "x", "condition": three}
    assert problem(await counter.call("POST", "/segments", body)) == (409, None)
    id_ = (await made(counter, two))["id"]
    assert problem(await counter.call("PUT", f"/segments/{id_}", body)) == (409, None)
    another = {"name": "x", "condition": {"not": three["any"][1]}}
    assert (await counter.call("PUT", f"/segments/{id_}", another)).status_code == 200
    await made(counter)
    answer = await counter.call("POST", "/segments", {"name": "x", "condition": ULM})
    assert problem(answer) == (409, None)
