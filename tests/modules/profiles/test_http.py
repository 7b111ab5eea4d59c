"""The REST API of profiles, as its callers see it. On both databases."""

from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from tests.modules.profiles.conftest import Counter
from tests.modules.profiles.items import START, item

pytestmark = pytest.mark.anyio


def problem(response: httpx.Response) -> tuple[int, str | None, str]:
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    return response.status_code, body.get("field"), body["detail"]


async def test_a_person_is_found_by_any_name(counter: Counter) -> None:
    traits = {"email": "Ada@x.org", "age": 41, "tags": ["a"]}
    await counter.track([item(1, "identify", "ada", "phone", traits=traits)])

    by_user = await counter.get("/people/lookup", kind="user_id", value="ada")

    assert by_user["identities"] == [
        {"kind": "user_id", "value": "ada"},
        {"kind": "email", "value": "ada@x.org"},
        {"kind": "anonymous_id", "value": "phone"},
    ]
    assert by_user["traits"] == traits
    assert by_user["first_seen"] == "2026-12-01T12:00:00Z"
    assert by_user["merged"] == []
    assert await counter.get("/people/lookup", kind="email", value=" ADA@x.org") == by_user
    assert await counter.get("/people/lookup", kind="anonymous_id", value="phone") == by_user
    assert await counter.get(f"/people/{by_user['id']}") == by_user
    assert await counter.get("/people", email="ada@X.org") == {"data": [by_user], "next": None}
    assert await counter.get("/people", email="eve@x.org") == {"data": [], "next": None}


async def test_people_come_in_pages_that_stand_still_while_others_arrive(counter: Counter) -> None:
    await counter.track([item(n, user=f"u{n}", minute=-n) for n in range(5)])
    first = await counter.get("/people", limit=2)
    await counter.track([item(9, user="u9"), item(10, user="u1", minute=-9e5)])
    rest = await counter.pages("/people", limit=2, after=first["next"])

    names = [p["identities"][0]["value"] for p in [*first["data"], *rest]]  # type: ignore[index,misc]
    assert names == ["u0", "u1", "u2", "u3", "u4", "u9"]


async def test_the_last_page_has_no_next(counter: Counter) -> None:
    await counter.track([item(n, user=f"u{n}") for n in range(4)])
    page = await counter.get("/people", limit=2)
    last = await counter.get("/people", limit=2, after=page["next"])
    assert (len(last["data"]), last["next"]) == (2, None)  # type: ignore[arg-type]


async def test_a_timeline_is_newest_first_by_the_time_things_happened(counter: Counter) -> None:
    minutes = [3, 1, 2, 2, 5]
    await counter.track([item(n, user="ada", minute=m) for n, m in enumerate(minutes)])
    ada = await counter.person("ada")
    for limit in (1, 2, 100):
        rows = await counter.pages(f"/people/{ada}/timeline", limit=limit)
        assert [row["message_id"] for row in rows] == ["m004", "m000", "m003", "m002", "m001"]


async def test_an_entry_says_what_when_and_by_which_name(counter: Counter) -> None:
    await counter.track(
        [
            item(1, user="ada", properties={"revenue": 9.5}),
            item(2, "identify", "ada", minute=1, traits={"plan": "pro"}),
        ]
    )
    ada = await counter.person("ada")
    told, done = (await counter.get(f"/people/{ada}/timeline"))["data"]  # type: ignore[misc]
    assert done == {
        "profile_id": str(ada),
        "identity": {"kind": "user_id", "value": "ada"},
        "message_id": "m001",
        "type": "track",
        "event": "did 1",
        "timestamp": "2026-12-01T12:00:00Z",
        "received_at": "2026-12-08T10:41:00Z",
        "properties": {"revenue": 9.5},
        "traits": {},
    }
    assert (told["type"], told["traits"], told["properties"]) == ("identify", {"plan": "pro"}, {})


async def test_only_the_properties_that_were_asked_for_are_sent(counter: Counter) -> None:
    order = {"order_id": "o1", "revenue": 1.5, "products": [{"sku": 1}]}
    await counter.track([item(1, event="Order Completed", user="ada", properties=order)])
    ada = await counter.person("ada")
    for path in (f"/people/{ada}/timeline", "/activities"):
        for asked, sent in {
            "revenue,order_id": {"revenue": 1.5, "order_id": "o1"},
            "revenue,nothing": {"revenue": 1.5},
            "": {},
        }.items():
            (row,) = (await counter.get(path, properties=asked))["data"]  # type: ignore[misc]
            assert row["properties"] == sent


async def test_activities_come_in_the_order_in_which_they_were_recorded(counter: Counter) -> None:
    for start in range(0, 6, 2):
        batch = [item(n, user=f"u{n % 3}", minute=-n) for n in range(start, start + 2)]
        await counter.track(batch, tenant="acme")
        await counter.track(batch, tenant="globex")
    rows = await counter.pages("/activities", limit=2)
    assert [row["message_id"] for row in rows] == [f"m00{n}" for n in range(6)]


async def test_a_list_can_be_of_one_event(counter: Counter) -> None:
    await counter.track(
        [item(n, user="ada", event="Order Completed" if n % 2 else "Seen") for n in range(6)]
    )
    ada = await counter.person("ada")
    for path, order in ((f"/people/{ada}/timeline", [5, 3, 1]), ("/activities", [1, 3, 5])):
        rows = await counter.pages(path, event="Order Completed", limit=2)
        assert [row["message_id"] for row in rows] == [f"m00{n}" for n in order]


async def test_after_a_merge_one_timeline_holds_everything(counter: Counter) -> None:
    await counter.track([item(n, anonymous="phone", minute=2 * n) for n in range(3)])
    await counter.track([item(n, user="ada", minute=2 * n + 1) for n in range(3, 6)])
    before = await counter.person("ada")
    await counter.track([item(6, user="ada", anonymous="phone", minute=9)])

    after = await counter.get(f"/people/{before}")
    rows = await counter.pages(f"/people/{after['id']}/timeline", limit=2)

    assert after["id"] != str(before)
    assert after["merged"] == [str(before)]
    assert "".join(str(row["message_id"])[-1] for row in rows) == "5643210"
    assert {row["profile_id"] for row in rows} == {after["id"]}
    assert await counter.pages(f"/people/{before}/timeline") == rows
    assert (await counter.get("/people"))["data"] == [after]
    assert {row["profile_id"] for row in await counter.pages("/activities")} == {after["id"]}


async def test_a_person_with_many_devices_has_one_timeline(counter: Counter) -> None:
    items = []
    for n in range(130):
        items += [
            item(n, anonymous=f"d{n}", minute=n),
            item(200 + n, user="ada", anonymous=f"d{n}"),
        ]
    await counter.track(items)
    ada = await counter.person("ada")
    rows = await counter.pages(f"/people/{ada}/timeline", limit=60)
    times = [row["timestamp"] for row in rows]
    assert len(rows) == 260
    assert times == sorted(times, reverse=True)  # type: ignore[type-var]


async def test_counts_are_exact(counter: Counter) -> None:
    assert await counter.get("/counts") == {"people": 0, "identities": 0, "activities": 0}
    await counter.track([item(1, user="ada"), item(2, anonymous="phone")])
    await counter.track([item(3, user="ada", anonymous="phone")])
    assert await counter.get("/counts") == {"people": 1, "identities": 2, "activities": 3}


async def test_a_consent_holds_until_the_next_and_a_late_one_changes_nothing(
    counter: Counter,
) -> None:
    await counter.track([item(1, user="ada")])
    path = f"/people/{await counter.person('ada')}/consents"
    at = START.isoformat().replace("+00:00", "Z")
    earlier = (START - timedelta(days=1)).isoformat()

    granted = await counter.call("PUT", f"{path}/email", {"status": "granted", "at": at})
    late = await counter.call(
        "PUT", f"{path}/email", {"status": "denied", "at": earlier, "source": "import"}
    )
    sms = await counter.call("PUT", f"{path}/sms", {"status": "denied"})

    assert granted.json() == {"channel": "email", "status": "granted", "at": at, "source": "api"}
    assert late.json() == granted.json()
    assert (await counter.get(path))["data"] == [granted.json(), sms.json()]


async def test_a_consent_follows_its_person_into_a_merge(counter: Counter) -> None:
    await counter.track([item(1, anonymous="phone")], [item(2, user="ada", minute=1)])
    phone = await counter.get("/people/lookup", kind="anonymous_id", value="phone")
    ada = await counter.person("ada")
    await counter.call("PUT", f"/people/{ada}/consents/email", {"status": "denied"})
    await counter.track([item(3, user="ada", anonymous="phone", minute=2)])
    (held,) = (await counter.get(f"/people/{phone['id']}/consents"))["data"]  # type: ignore[misc]
    assert (held["channel"], held["status"]) == ("email", "denied")


NONSENSE: list[tuple[dict[str, str], str, str]] = [
    ({"status": "maybe"}, "email", "status"),
    ({"status": "granted", "x": 1}, "email", "x"),
    ({"status": "granted", "at": "2050-01-01T00:00:00Z"}, "email", "at"),
    ({"status": "granted", "at": "2026-01-01T00:00:00"}, "email", "at"),
    ({"status": "granted", "at": "0001-01-01T00:00:00+14:00"}, "email", "at"),
    ({"status": "granted", "source": ""}, "email", "source"),
    ({"status": "granted"}, "E-Mail", "channel"),
    ({"status": "granted"}, "x" * 65, "channel"),
]


async def test_a_consent_that_makes_no_sense_is_refused(counter: Counter) -> None:
    await counter.track([item(1, user="ada")])
    path = f"/people/{await counter.person('ada')}/consents"
    for body, channel, field in NONSENSE:
        answer = await counter.call("PUT", f"{path}/{channel}", body)
        assert answer.is_client_error, (body, channel)
        assert problem(answer)[:2] == (422, field), (body, channel)
        assert (await counter.get(path))["data"] == [], (body, channel)


UNANSWERABLE: list[tuple[str, str]] = [
    ("/people?after=nonsense", "after"),
    ("/people?after=00", "after"),
    ("/activities?after=5b5d", "after"),
    (f"/activities?after={b'[1180591620717411303424]'.hex()}", "after"),
    (f"/activities?after={b'[null]'.hex()}", "after"),
    (f"/people?after={b'[]'.hex()}", "after"),
    ("/people?limit=0", "limit"),
    ("/people?limit=1001", "limit"),
    ("/people/lookup?kind=shoe&value=1", "kind"),
]


async def test_a_question_that_cannot_be_answered_names_its_field(counter: Counter) -> None:
    for path, field in UNANSWERABLE:
        answer = await counter.call("GET", path)
        assert answer.status_code in (400, 422), path
        assert problem(answer)[1] == field, path


@pytest.mark.parametrize(
    "place",
    [
        '["0001-01-01T00:00:00+14:00",1]',
        '["2026-01-01T00:00:00",1]',
        '["2026-01-01T00:00:00Z",18446744073709551616]',
        '["2026-01-01T00:00:00Z"]',
    ],
)
async def test_a_forged_place_in_a_timeline_is_refused(counter: Counter, place: str) -> None:
    await counter.track([item(1, user="ada")])
    path = f"/people/{await counter.person('ada')}/timeline?after={place.encode().hex()}"
    assert problem(await counter.call("GET", path))[:2] == (422, "after")


@pytest.mark.parametrize(
    "path",
    ["/people?email=%00", "/activities?event=%00", "/people?email=%ed%a0%80", "/activities?event="],
)
async def test_what_nobody_can_be_called_finds_nothing(counter: Counter, path: str) -> None:
    await counter.track([item(1, user="ada")])
    assert (await counter.call("GET", path)).status_code in (200, 400, 422)
    ada = await counter.person("ada")
    timeline = await counter.call("GET", f"/people/{ada}/timeline?event=%00")
    looked_up = await counter.call("GET", "/people/lookup?kind=user_id&value=%00")
    assert timeline.status_code in (200, 400, 422)
    assert looked_up.status_code in (400, 404, 422)


async def test_another_tenants_person_is_nobody(counter: Counter) -> None:
    await counter.track([item(1, "identify", "ada", traits={"email": "ada@x.org"})])
    ada = await counter.person("ada")
    for known, body in ((ada, {"status": "granted"}), (uuid4(), {"status": "granted"})):
        for method, path in (
            ("GET", f"/people/{known}"),
            ("GET", f"/people/{known}/timeline"),
            ("GET", f"/people/{known}/consents"),
            ("PUT", f"/people/{known}/consents/email"),
            ("GET", "/people/lookup?kind=user_id&value=ada"),
        ):
            sent = body if method == "PUT" else None
            answer = await counter.call(method, path, sent, tenant="globex")
            assert problem(answer)[0] == 404
    for path in ("/people", "/people?email=ada@x.org", "/activities"):
        assert (await counter.get(path, tenant="globex"))["data"] == []
