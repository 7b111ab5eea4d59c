"""The REST API of access, as its callers see it."""

from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from martech.kernel.clock import TestClock
from tests.modules.access.conftest import Desk, Office

pytestmark = pytest.mark.anyio

NOBODY = UUID(int=7)
PROBLEM = "application/problem+json"


def problem(response: httpx.Response) -> tuple[int, str | None, str]:
    assert response.headers["content-type"] == PROBLEM
    body = response.json()
    assert body["status"] == response.status_code
    return response.status_code, body.get("field"), body["detail"]


async def test_a_key_knows_its_tenant(desk: Desk) -> None:
    answer = await desk.call("GET", "/tenant")

    assert answer.status_code == 200
    assert answer.json() == {
        "id": str(desk.office.tenant),
        "name": "acme",
        "created_at": "2026-11-21T09:30:00Z",
    }


async def test_a_user_is_added_read_changed_and_removed(desk: Desk) -> None:
    added = await desk.call("POST", "/users", {"email": "Ada@Example.com", "role": "viewer"})
    path = f"/users/{added.json()['id']}"
    changed = await desk.call("PATCH", path, {"name": "Ada", "role": "editor"})
    read = await desk.call("GET", path)
    removed = await desk.call("DELETE", path)
    gone = await desk.call("GET", path)

    assert added.status_code == 201
    assert added.json()["email"] == "ada@example.com"
    assert changed.status_code == 200
    assert read.json() == changed.json()
    assert (read.json()["name"], read.json()["role"]) == ("Ada", "editor")
    assert removed.status_code == 204
    assert problem(gone)[0] == 404


async def test_the_same_address_twice_is_a_conflict(desk: Desk) -> None:
    await desk.call("POST", "/users", {"email": "ada@example.com", "role": "viewer"})
    again = await desk.call("POST", "/users", {"email": " ADA@example.com", "role": "owner"})

    assert problem(again)[:2] == (409, "email")


WRONG: list[tuple[str, str, object, int, str | None]] = [
    ("POST", "/users", {"email": "ada", "role": "viewer"}, 422, "email"),
    ("POST", "/users", {"email": "a@example.com", "role": "king"}, 422, "role"),
    ("POST", "/users", {"role": "viewer"}, 422, "email"),
    ("POST", "/users", {"email": "a@example.com", "role": "viewer", "x": 1}, 422, "x"),
    ("POST", "/keys", {"kind": "secret", "name": "k"}, 422, "scopes"),
    ("POST", "/keys", {"kind": "secret", "name": "", "scopes": ["a:b"]}, 422, "name"),
    ("POST", "/keys", {"kind": "secret", "name": "k", "scopes": ["all"]}, 422, "scopes"),
    (
        "POST",
        "/keys",
        {"kind": "write", "name": "k", "expires_at": "2020-01-01T00:00:00Z"},
        422,
        "expires_at",
    ),
    (
        "POST",
        "/keys",
        {"kind": "write", "name": "k", "expires_at": "9999-12-31T23:59:59-14:00"},
        422,
        "expires_at",
    ),
    ("POST", "/keys", {"kind": "secret", "name": "k", "user_id": str(NOBODY)}, 404, None),
    ("GET", f"/keys/{NOBODY}", None, 404, None),
    ("POST", f"/keys/{NOBODY}/revoke", None, 404, None),
    ("POST", f"/keys/{NOBODY}/rotate", {}, 404, None),
    ("POST", f"/keys/{NOBODY}/rotate", {"overlap_seconds": -1}, 422, "overlap_seconds"),
    ("POST", f"/keys/{NOBODY}/rotate", {"overlap_seconds": 10**18}, 422, "overlap_seconds"),
    ("GET", "/keys?after=nonsense", None, 422, "after"),
    ("GET", "/audit?after=nonsense", None, 422, "after"),
    ("GET", f"/audit?after={'9' * 30}", None, 422, "after"),
    ("GET", "/users?limit=0", None, 422, "limit"),
    ("GET", "/users?limit=1001", None, 422, "limit"),
]


async def test_what_is_wrong_is_said_with_its_field(desk: Desk) -> None:
    for method, path, body, *wanted in WRONG:
        answer = await desk.call(method, path, body)
        assert answer.headers["content-type"] == PROBLEM, (method, path, body)
        assert [*problem(answer)[:2]] == wanted, (method, path, body)


async def test_a_key_is_shown_once_and_then_works_until_it_is_revoked(desk: Desk) -> None:
    issued = await desk.call(
        "POST", "/keys", {"kind": "secret", "name": "reports", "scopes": ["access:read"]}
    )
    token, path = issued.json()["token"], f"/keys/{issued.json()['key']['id']}"
    shown = await desk.call("GET", path)
    before = await desk.call("GET", "/tenant", key=token)
    revoked = await desk.call("POST", f"{path}/revoke")
    after = await desk.call("GET", "/tenant", key=token)

    assert issued.status_code == 201
    assert token.startswith("mts_")
    assert shown.json() == issued.json()["key"]
    assert token not in shown.text
    assert before.status_code == 200
    assert revoked.json()["status"] == "revoked"
    assert problem(after)[0] == 401


async def test_rotation_over_http_overlaps(desk: Desk, clock: TestClock) -> None:
    issued = await desk.call(
        "POST", "/keys", {"kind": "secret", "name": "r", "scopes": ["access:read"]}
    )
    path = f"/keys/{issued.json()['key']['id']}"
    rotated = await desk.call("POST", f"{path}/rotate", {"overlap_seconds": 60})
    old, new = issued.json()["token"], rotated.json()["token"]

    assert rotated.status_code == 201
    assert (await desk.call("GET", path)).json()["status"] == "retiring"
    assert (await desk.call("GET", "/tenant", key=old)).status_code == 200
    clock.move(timedelta(seconds=60))
    assert (await desk.call("GET", "/tenant", key=old)).status_code == 401
    assert (await desk.call("GET", "/tenant", key=new)).status_code == 200


async def test_an_expired_key_says_so(desk: Desk, clock: TestClock) -> None:
    issued = await desk.call(
        "POST",
        "/keys",
        {
            "kind": "secret",
            "name": "short",
            "scopes": ["access:read"],
            "expires_at": "2026-11-21T10:00:00Z",
        },
    )
    clock.move(timedelta(minutes=30))
    answer = await desk.call("GET", "/tenant", key=issued.json()["token"])

    assert problem(answer)[0] == 401
    assert "expired at 2026-11-21 10:00" in answer.json()["detail"]


async def test_a_role_is_what_its_keys_can_do(desk: Desk) -> None:
    may: dict[str, list[int]] = {}
    for role in ("viewer", "editor", "admin", "owner"):
        email = {"email": f"{role}@example.com", "role": role}
        user = (await desk.call("POST", "/users", email)).json()["id"]
        body = {"kind": "secret", "name": role, "user_id": user}
        key = (await desk.call("POST", "/keys", body)).json()["token"]
        calls = (
            await desk.call("GET", "/users", key=key),
            await desk.call("GET", "/keys", key=key),
            await desk.call(
                "POST", "/users", {"email": f"{role}@x.org", "role": "viewer"}, key=key
            ),
            await desk.call("POST", "/users", {"email": f"{role}@y.org", "role": "owner"}, key=key),
        )
        may[role] = [call.status_code for call in calls]

    assert may == {
        "viewer": [200, 403, 403, 403],
        "editor": [200, 403, 403, 403],
        "admin": [200, 200, 201, 403],
        "owner": [200, 200, 201, 201],
    }


async def test_a_write_key_reads_nothing(desk: Desk) -> None:
    issued = await desk.call("POST", "/keys", {"kind": "write", "name": "web"})
    answer = await desk.call("GET", "/tenant", key=issued.json()["token"])

    assert problem(answer)[0] == 403


async def test_lists_come_in_pages_that_miss_nothing(desk: Desk) -> None:
    for number in range(7):
        await desk.call("POST", "/keys", {"kind": "write", "name": f"key {number}"})

    for path, expected in (("/keys", 9), ("/audit", 10)):
        seen, after = [], ""
        while True:
            page = (await desk.call("GET", f"{path}?limit=3{after}")).json()
            assert 1 <= len(page["data"]) <= 3
            seen += [row.get("id") or row.get("number") for row in page["data"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert len(seen) == len(set(seen)) == expected
        assert seen == sorted(seen)


async def test_the_audit_names_the_key_that_did_it(desk: Desk) -> None:
    await desk.call("POST", "/users", {"email": "ada@example.com", "role": "viewer"})
    keys = (await desk.call("GET", "/keys")).json()["data"]
    last = (await desk.call("GET", "/audit")).json()["data"][-1]

    assert (last["action"], last["detail"]) == ("user.add", {"role": "viewer"})
    assert last["actor"] == f"key:{keys[1]['id']}"
    assert len(bytes.fromhex(last["hash"])) == 32


async def test_another_tenant_s_ids_do_not_exist_here(desk: Desk) -> None:
    other = Office(desk.office.host, "other")
    stranger = (await other.open()).keys[1].token
    user = (await desk.call("POST", "/users", {"email": "a@x.org", "role": "viewer"})).json()["id"]
    key = (await desk.call("GET", "/keys")).json()["data"][0]["id"]

    for method, path, body in (
        ("GET", "/users/{}", None),
        ("PATCH", "/users/{}", {"name": "Eve"}),
        ("DELETE", "/users/{}", None),
        ("GET", "/keys/{}", None),
        ("POST", "/keys/{}/rotate", {}),
        ("POST", "/keys/{}/revoke", None),
    ):
        theirs, nobodys = user if "users" in path else key, str(uuid4())
        known = await desk.call(method, path.format(theirs), body, key=stranger)
        unknown = await desk.call(method, path.format(nobodys), body, key=stranger)
        assert problem(known)[0] == 404
        assert problem(known)[2].replace(theirs, nobodys) == problem(unknown)[2]
    mine = await desk.call("GET", f"/keys?user_id={user}", key=stranger)
    assert mine.json() == {"data": [], "next": None}


async def test_a_repeated_request_issues_one_key(desk: Desk) -> None:
    await desk.follower.catch_up()
    headers = {"authorization": f"Bearer {desk.owner}", "idempotency-key": "once"}
    body = {"kind": "write", "name": "web"}
    first = await desk.client.post("/access/v1/keys", json=body, headers=headers)
    again = await desk.client.post("/access/v1/keys", json=body, headers=headers)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert len((await desk.call("GET", "/keys")).json()["data"]) == 3
