"""The REST API of content, as its callers see it."""

import asyncio
import json
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import select

from martech.kernel.aside import MOST, TENANTS, WAITING
from martech.modules.content.domain import Compiled
from tests.gates import Gate, pass_gate
from tests.modules.content.conftest import ACME, GLOBEX, MJML, TEMPLATE, Desk, problem

pytestmark = pytest.mark.anyio

NOBODY = UUID(int=7)


async def test_a_template_is_made_read_changed_and_listed(desk: Desk) -> None:
    made = await desk.call("POST", "", TEMPLATE)
    path = f"/{made.json()['id']}"
    changed = await desk.call("PUT", path, TEMPLATE | {"subject": "Hello", "revision": 1})
    read = await desk.call("GET", path)
    listed = await desk.call("GET")

    assert made.status_code == 201
    assert (made.json()["revision"], made.json()["status"], made.json()["version"]) == (
        1,
        "draft",
        None,
    )
    assert made.json()["mjml"] == MJML
    assert changed.status_code == 200
    assert (changed.json()["subject"], changed.json()["revision"]) == ("Hello", 2)
    assert read.json() == changed.json()
    assert read.headers["etag"] == '"2"'
    short = {"mjml", "html", "text", "sample"}
    listing = {name: value for name, value in read.json().items() if name not in short}
    assert listed.json() == {"data": [listing], "next": None}


async def test_of_two_who_change_the_same_revision_the_second_is_told(desk: Desk) -> None:
    path = await desk.made()
    first = await desk.call("PUT", path, TEMPLATE | {"subject": "First", "revision": 1})
    second = await desk.call("PUT", path, TEMPLATE | {"subject": "Second"}, if_match='"1"')
    kept = await desk.call("GET", path)

    assert first.status_code == 200
    assert problem(second)[:2] == (409, "revision")
    assert "revision 2" in problem(second)[2]
    assert kept.json()["subject"] == "First"


async def test_a_change_says_what_it_is_based_on(desk: Desk) -> None:
    path = await desk.made()

    assert problem(await desk.call("PUT", path, TEMPLATE))[:2] == (422, "revision")
    assert problem(await desk.call("PUT", path, TEMPLATE, if_match="*"))[:2] == (422, "If-Match")
    both = await desk.call("PUT", path, TEMPLATE | {"revision": 1}, if_match='"2"')
    assert problem(both)[:2] == (422, "revision")
    same = await desk.call("PUT", path, TEMPLATE, if_match='"1"')
    assert same.json()["revision"] == 1, "what changes nothing is no change"


async def test_it_is_published_once_and_then_has_versions(desk: Desk) -> None:
    path = await desk.made()
    first = await desk.call("POST", f"{path}/publish")
    again = await desk.call("POST", f"{path}/publish", if_match='"1"')
    await desk.call("PUT", path, TEMPLATE | {"subject": "Hello", "revision": 1})
    stale = await desk.call("POST", f"{path}/publish", if_match='"1"')
    second = await desk.call("POST", f"{path}/publish")
    versions = await desk.call("GET", f"{path}/versions")
    old = await desk.call("GET", f"{path}/versions/1")

    assert first.status_code == 200
    assert first.json()["version"] == 1
    assert '{{ profile.first_name | default: "you & <me>" }}' in first.json()["html"]
    assert "<mj-" not in first.json()["html"]
    assert "Unsubscribe ({{ unsubscribe_url }})" in first.json()["text"]
    assert again.json() == first.json()
    assert problem(stale)[:2] == (409, "revision")
    assert (second.json()["version"], second.json()["subject"]) == (2, "Hello")
    assert old.json() == first.json()
    assert versions.json()["next"] is None
    assert [(row["version"], row["subject"]) for row in versions.json()["data"]] == [
        (1, "Hi {{ profile.first_name }}"),
        (2, "Hello"),
    ]
    assert [event.type for event in await desk.told()] == ["content.content_published.v1"] * 2


async def test_it_is_withdrawn_and_brought_back(desk: Desk) -> None:
    path = await desk.made()
    early = await desk.call("POST", f"{path}/withdraw")
    await desk.call("POST", f"{path}/publish")
    stale = await desk.call("POST", f"{path}/withdraw", if_match='"2"')
    gone = await desk.call("POST", f"{path}/withdraw", if_match='"1"')
    twice = await desk.call("POST", f"{path}/withdraw")
    kept = await desk.call("GET", f"{path}/versions/1")
    back = await desk.call("POST", f"{path}/publish")

    assert problem(early)[0] == 409
    assert problem(stale)[:2] == (409, "revision")
    assert (gone.json()["status"], gone.json()["version"]) == ("withdrawn", 1)
    assert twice.json() == gone.json()
    assert kept.status_code == 200
    assert back.json()["version"] == 2
    facts = await desk.told()
    versions = [msgspec.json.decode(fact.data)["version"] for fact in facts]
    told = list(zip([fact.type.split(".")[1] for fact in facts], versions, strict=True))
    assert told == [("content_published", 1), ("content_withdrawn", 1), ("content_published", 2)]


async def test_a_preview_fills_the_draft_in(desk: Desk) -> None:
    path = await desk.made()
    own = await desk.call("POST", f"{path}/preview", {})
    other = await desk.call(
        "POST", f"{path}/preview", {"sample": {"profile": {"first_name": "<b>{{ 1 }}"}}}
    )

    assert own.json()["subject"] == "Hi Ada"
    assert "Hello Ada!" in own.json()["text"]
    assert other.json()["subject"] == "Hi <b>{{ 1 }}"
    assert "Hello &lt;b&gt;{{ 1 }}!" in other.json()["html"]
    assert "https://example.com/unsubscribe" in other.json()["text"]


INCLUDE = MJML.replace("<mj-image", "<mj-include path='/etc/passwd' /><mj-image")
NO_TEXT = MJML.replace("<mj-image", "<mj-divider>{{ x }}</mj-divider><mj-image")
BROKEN = [
    ({"subject": "Hi\u00a0{{ name | shout }}"}, "subject", 1, 14),
    ({"subject": " "}, "subject", 1, 1),
    ({"mjml": None, "html": "<p>\n {% if profile.x %}</p>"}, "html", 2, 2),
    ({"mjml": None}, "html", 1, 1),
    ({"mjml": None, "html": "<p>x</p>\n<p {{ x }}>y</p>"}, "html", 2, 4),
    ({"mjml": MJML.replace("</mj-section>", "</mj-sektion>")}, "mjml", 7, 17),
    ({"mjml": INCLUDE}, "mjml", 5, 7),
    ({"mjml": NO_TEXT}, "mjml", 5, 19),
    ({"text": "ok\n\n {{ nope"}, "text", 3, 2),
]


@pytest.mark.parametrize(("changed", "part", "line", "column"), BROKEN)
async def test_what_is_broken_can_be_kept_but_not_published(
    desk: Desk, changed: dict[str, object], part: str, line: int, column: int
) -> None:
    path = await desk.made(**changed)
    refused = await desk.call("POST", f"{path}/publish")
    shown = await desk.call("POST", f"{path}/preview", {})
    findings = (await desk.call("POST", f"{path}/lint")).json()["data"]

    assert problem(refused)[:2] == (422, part)
    assert problem(refused)[2].startswith(f"Line {line}, column {column}: ")
    assert problem(shown) == problem(refused)
    assert findings[0]["level"] == "error"
    assert (findings[0]["part"], findings[0]["line"], findings[0]["column"]) == (part, line, column)
    assert await desk.told() == []


async def test_what_is_published_unchanged_stays_published_whatever_the_limits_are_by_now(
    desk: Desk,
) -> None:
    path = await desk.made(subject="{{ nope")
    async with desk.served.host.unit("content", ACME) as content:
        made = Compiled(subject="Hi", html="<p>Hi</p>", text="Hi")
        once = await content.publish(UUID(path[1:]), made, revision=1)
    again = await desk.call("POST", f"{path}/publish", idempotency_key="once")
    stale = await desk.call("POST", f"{path}/publish", if_match='"2"')
    await desk.call("POST", f"{path}/withdraw")
    anew = await desk.call("POST", f"{path}/publish")

    assert (again.status_code, again.json()) == (200, msgspec.to_builtins(once))
    assert problem(stale)[:2] == (409, "revision")
    assert problem(anew)[:2] == (422, "subject")


WRONG: list[tuple[dict[str, object], str]] = [
    ({"name": ""}, "name"),
    ({"name": "x" * 201}, "name"),
    ({"name": 5}, "name"),
    ({"html": "<p>x</p>"}, "html"),
    ({"subject": "x" * 1_001}, "subject"),
    ({"mjml": "x" * 200_001}, "mjml"),
    ({"text": "x" * 100_001}, "text"),
    ({"sample": {"profile": {"bio": "x" * 64_000}}}, "sample"),
    ({"sample": {"profile": []}}, "sample.profile"),
    ({"sample": []}, "sample"),
    ({"nobody_knows_this": 1}, "nobody_knows_this"),
]


async def test_what_is_wrong_is_said_with_its_field(desk: Desk) -> None:
    path = await desk.made()
    for body, field in WRONG:
        made = await desk.call("POST", "", TEMPLATE | body)
        changed = await desk.call("PUT", path, TEMPLATE | body | {"revision": 1})
        for answer in (made, changed):
            assert answer.is_client_error, str(body)[:60]
            assert problem(answer)[:2] == (422, field), str(body)[:60]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/{NOBODY}", 404),
        ("/nonsense", 404),
        ("?after=nonsense", 422),
        ("?limit=0", 422),
        ("?limit=1001", 422),
    ],
)
async def test_what_is_not_there_is_said(desk: Desk, path: str, status: int) -> None:
    assert problem(await desk.call("GET", path))[0] == status


@pytest.mark.parametrize(
    ("html", "sample"),
    [
        ("{{ profile.x }}{{ profile.x | plus: 1 }}", {"x": 10**400}),
        ("{{ profile.x }}{{ profile.y }}{{ profile.z }}", {"x": 1e308, "y": 5e-324, "z": -0.0}),
        ("{{ profile }}", json.loads('{"a":' * 50 + "1" + "}" * 50)),
        ('{{ "\\ud800" }}{{ profile["\\ud800"] }}&#xD800;&#0;', {}),
        ("{{ '%ED%A0%80%00' | url_decode }}{{ '7aCA' | base64_decode }}", {}),
        ("{% for i in (1..3) limit: 99999999999999999999 %}{{ i }}{% endfor %}", {}),
        ("\ufeff<p>\u2028\x0b\x85\u202e", {}),
    ],
)
async def test_odd_values_are_kept_as_they_are_and_answered(
    desk: Desk, html: str, sample: dict[str, object]
) -> None:
    draft = TEMPLATE | {"mjml": None, "html": html, "sample": {"profile": sample}}
    path = await desk.made(**draft)
    for act, body in (("lint", None), ("preview", {}), ("publish", None)):
        assert (await desk.call("POST", f"{path}/{act}", body)).status_code in (200, 422)
    same = await desk.call("PUT", path, draft | {"revision": 1})

    assert same.json()["sample"] == {"profile": sample}
    assert same.json()["revision"] == 1


async def test_a_version_that_never_was_is_not_found(desk: Desk) -> None:
    path = await desk.made()

    for number in ("1", "0", "-1", "9" * 12, "9" * 30):
        assert problem(await desk.call("GET", f"{path}/versions/{number}"))[0] == 404
    assert problem(await desk.call("GET", f"{path}/versions?after=x"))[:2] == (422, "after")


async def test_lists_come_in_pages_that_miss_nothing(desk: Desk) -> None:
    paths = [await desk.made(name=f"Mail {number}") for number in range(5)]
    seen: list[str] = []
    after = ""
    while True:
        page = (await desk.call("GET", f"?limit=2{after}")).json()
        seen += [f"/{template['id']}" for template in page["data"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"

    assert seen == paths


async def test_versions_come_in_pages(desk: Desk) -> None:
    path = await desk.made()
    for revision in (1, 2, 3):
        await desk.call("POST", f"{path}/publish")
        changed = TEMPLATE | {"subject": f"Hi {revision}", "revision": revision}
        await desk.call("PUT", path, changed)
    first = (await desk.call("GET", f"{path}/versions?limit=2")).json()
    rest = (await desk.call("GET", f"{path}/versions?limit=2&after={first['next']}")).json()

    assert [row["version"] for row in first["data"] + rest["data"]] == [1, 2, 3]
    assert rest["next"] is None


async def test_another_tenant_s_template_does_not_exist_here(desk: Desk) -> None:
    path = await desk.made()
    await desk.call("POST", f"{path}/publish")
    before = (await desk.call("GET", path)).json()

    for method, rest, body in (
        ("GET", "", None),
        ("PUT", "", TEMPLATE | {"revision": 1}),
        ("POST", "/lint", None),
        ("POST", "/preview", {}),
        ("POST", "/publish", None),
        ("POST", "/withdraw", None),
        ("GET", "/versions", None),
        ("GET", "/versions/1", None),
    ):
        answer = await desk.call(method, path + rest, body, tenant=GLOBEX)
        assert problem(answer)[0] == 404, (method, rest)
    assert (await desk.call("GET", tenant=GLOBEX)).json() == {"data": [], "next": None}
    assert (await desk.call("GET", path, tenant=ACME)).json() == before


async def test_who_may_only_read_changes_nothing(desk: Desk) -> None:
    path, read = await desk.made(), ("content:read",)

    for method, rest, body in (
        ("POST", "", TEMPLATE),
        ("PUT", path, TEMPLATE | {"revision": 1}),
        ("POST", f"{path}/publish", None),
        ("POST", f"{path}/withdraw", None),
    ):
        assert problem(await desk.call(method, rest, body, scopes=read))[0] == 403
    assert (await desk.call("POST", f"{path}/lint", scopes=read)).status_code == 200
    assert (await desk.call("POST", f"{path}/preview", {}, scopes=read)).status_code == 200


async def test_who_looks_does_not_wait_for_who_writes(desk: Desk) -> None:
    path = await desk.made()
    async with desk.served.host.databases["content"].unit() as writing:
        await writing.across(select(1))

        assert (await desk.call("POST", f"{path}/lint")).status_code == 200
        assert (await desk.call("POST", f"{path}/preview", {})).status_code == 200


@pytest.mark.parametrize("act", ["lint", "preview", "publish"])
async def test_who_compiles_holds_neither_the_loop_nor_the_database(
    desk: Desk, act: str, tmp_path: Path
) -> None:
    path, gate = await desk.made(), Gate(tmp_path)
    busy = [
        asyncio.create_task(desk.aside.do(UUID(int=100 + number), pass_gate, str(gate.path)))
        for number in range(MOST)
    ]
    acting = asyncio.create_task(
        desk.call("POST", f"{path}/{act}", {} if act == "preview" else None, idempotency_key="once")
    )
    while desk.aside.asked <= MOST and not acting.done():
        await desk.call("GET", path)
    changed = await desk.call("PUT", path, TEMPLATE | {"subject": "Hello", "revision": 1})

    assert changed.status_code == 200
    assert not acting.done()
    gate.open()
    await asyncio.gather(*busy)
    answer = await acting
    if act == "publish":
        assert problem(answer)[:2] == (409, "revision")
        assert await desk.told() == []
    else:
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("tenants", "status"),
    [([ACME] * (1 + WAITING), 429), ([UUID(int=100 + n) for n in range(TENANTS)], 503)],
)
async def test_what_is_asked_when_too_much_is_asked_is_worth_another_try(
    desk: Desk, tmp_path: Path, tenants: list[UUID], status: int
) -> None:
    path, gate = await desk.made(), Gate(tmp_path)
    busy = [
        asyncio.create_task(desk.aside.do(tenant, pass_gate, str(gate.path))) for tenant in tenants
    ]
    refused = await desk.call("POST", f"{path}/publish")
    gate.open()
    await asyncio.gather(*busy)

    assert problem(refused)[0] == status
    assert int(refused.headers["retry-after"]) >= 1
    assert (await desk.call("POST", f"{path}/publish")).status_code == 200


async def test_what_is_only_read_can_be_asked_for_again_by_its_key(desk: Desk) -> None:
    path = await desk.made()
    first = await desk.call("POST", f"{path}/preview", {}, idempotency_key="once")
    again = await desk.call("POST", f"{path}/preview", {}, idempotency_key="once")

    assert first.status_code == 200
    assert again.json() == first.json()


async def test_a_repeated_request_makes_one_template(desk: Desk) -> None:
    first = await desk.call("POST", "", TEMPLATE, idempotency_key="once")
    again = await desk.call("POST", "", TEMPLATE, idempotency_key="once")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert len((await desk.call("GET")).json()["data"]) == 1
