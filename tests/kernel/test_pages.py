"""The pages for people and programs: complete, true, and nothing from elsewhere."""

import re
import threading
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import httpx
import pytest
from litestar import Litestar

from martech.kernel.auth import Follower, Keyring
from martech.kernel.auth.keys import armour
from martech.kernel.bus import Bus
from martech.kernel.clock import SystemClock
from martech.kernel.http import docs, pages
from martech.kernel.http.application import application, described
from martech.kernel.http.health import Pulse, Readier
from martech.kernel.settings import Settings
from martech.kernel.standing import ModuleStanding, Standing, SubscriptionStanding
from tests import databases
from tests.serving import Served, alive, serve

pytestmark = pytest.mark.anyio

AS_JSON = {"accept": "application/json"}
ISSUER = bytes(range(32))


@pytest.fixture
async def served(sample_url: str) -> AsyncIterator[Served]:
    async with serve(databases.SAMPLE, Settings(database_url=sample_url)) as served:
        yield served


class Page(HTMLParser):
    """Its links, the ids they may point to, what it loads, and what is left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a":
            self.links.append(str(given.get("href")))
        if tag == "link" and given.get("href") != "data:,":
            self.loads.append(str(given.get("href")))
        if tag in ("script", "img", "iframe"):
            self.loads.append(str(given.get("src")))
        if given.get("id"):
            self.ids.add(str(given["id"]))
        if tag not in ("meta", "link", "br", "input", "img"):
            self.open.append(tag)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style") and data.strip():
            self.inline.append(data)


async def test_the_reference_is_whole_and_needs_nothing_from_elsewhere(served: Served) -> None:
    answer = await served.client.get("/docs")
    page = Page(answer.text)
    assert page.open == []
    assert page.loads == []
    assert "url(" not in answer.text
    assert "@import" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    await lead_somewhere(served, page)


async def test_examples_of_the_reference_call_this_server(sample_url: str) -> None:
    known = Settings(database_url=sample_url, public_url="https://shop.example/")
    for settings in (Settings(database_url=sample_url, port=9123), known):
        async with serve(databases.SAMPLE, settings) as served:
            page = (await served.client.get("/docs")).text
            examples = re.findall(r"curl -X GET (\S+)", page)
            assert examples
            assert all(url.startswith(f"{settings.public}/") for url in examples)


async def test_the_page_is_whole_and_loads_only_files_of_its_own(served: Served) -> None:
    answer = await served.client.get("/", headers={"accept": "text/html"})
    page = Page(answer.text)
    assert page.open == []
    assert page.inline == []
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    await lead_somewhere(served, page)
    waiting, seen = list(page.loads), set[str]()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        assert path.startswith("/console/")
        file = await served.client.get(path)
        assert file.status_code == 200, path
        assert file.headers["content-security-policy"] == policy
        assert file.headers["x-content-type-options"] == "nosniff"
        kind, *further = file.headers["content-type"].split("; ")
        assert kind == KINDS[path.rpartition(".")[2]]
        assert further == (["charset=utf-8"] if kind.startswith("text/") else [])
        assert not re.search(r"url\(|@import|innerHTML|eval\(", file.text), path
        waiting += [f"/console/{name}" for name in re.findall(r'from "\./([\w.]+)"', file.text)]
    assert seen == {f"/console/{name}" for name in front_files()}, "a file that nothing loads"


KINDS = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


def front_files() -> set[str]:
    return {file.name for file in files("martech").joinpath("console").iterdir()} - {"index.html"}


async def lead_somewhere(served: Served, page: Page) -> None:
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids, link
        else:
            assert (await served.client.get(link)).status_code in (200, 503), link


@pytest.mark.parametrize("path", ["/", "/console/main.js"])
async def test_what_a_browser_has_is_not_sent_again(served: Served, path: str) -> None:
    first = await served.client.get(path)
    tag = first.headers["etag"]
    again = await served.client.get(path, headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    other = await served.client.get(path, headers={"if-none-match": '"older"'})
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize("name", ["nothing.js", "..%2fapp.py", "index.html"])
async def test_nothing_but_the_files_of_the_page_is_served(served: Served, name: str) -> None:
    answer = await served.client.get(f"/console/{name}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_without_a_page_in_front_everybody_is_told_what_programs_are(served: Served) -> None:
    bare = application(served.host, served.keyring, Follower(served.keyring, None, SystemClock()))
    transport = httpx.ASGITransport(bare)
    async with alive(bare), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get("/", headers={"accept": "text/html"})
        assert answer.json()["name"] == "martech"
        assert (await client.get("/console/main.js")).status_code == 404


async def test_the_landing_page_says_what_runs_and_how_far_it_is(served: Served) -> None:
    async with served.host.unit("shop", served.tenant) as shop:
        await shop.sell([1, 2, 3])
    before = (await served.client.get("/", headers=AS_JSON)).json()
    (heard,) = [s for s in behind(before) if s["name"] == "ledger.write_sales_down"]
    assert (heard["source"], heard["behind"], heard["parked"]) == ("shop", 3, 0)
    assert "3 events still to process." in (await served.client.get("/")).text
    await Bus(served.host).settle()
    async with serve(databases.SAMPLE, served.host.settings) as later:
        after = (await later.client.get("/", headers=AS_JSON)).json()
        assert {s["behind"] for s in behind(after)} == {0}
        assert "Everything told has been heard." in (await later.client.get("/")).text


def behind(page: Any) -> list[Any]:
    return [s for module in page["modules"] for s in module["subscriptions"]]


def test_names_and_numbers_cannot_become_html() -> None:
    hostile = "<script>alert(1)</script>"
    subscription = SubscriptionStanding(
        name=f"x.{hostile}", source=hostile, behind=1_000, waiting=0, parked=2
    )
    modules = [
        ModuleStanding(name=hostile, parked=1, subscriptions=(subscription,)),
        ModuleStanding(name=hostile, available=False),
    ]
    shown = pages.standing_html(modules)
    assert "<script" not in shown
    assert "1,000" in shown
    shown = docs.render(
        {
            "info": {"version": hostile, "description": hostile},
            "paths": {f"/{hostile}": {"get": {"summary": hostile, "tags": [hostile]}}},
            "components": {"schemas": {hostile: {"description": hostile, "type": hostile}}},
        },
        hostile,
    )
    assert "<script" not in shown


async def test_what_takes_long_to_describe_holds_nobody_up(served: Served) -> None:
    """It is made once, and not where the requests of all others are answered."""
    made_in: list[threading.Thread] = []

    def slowly() -> dict[str, Any]:
        made_in.append(threading.current_thread())
        return {"info": {"version": "1", "description": ""}, "paths": {}, "components": {}}

    app = Litestar([pages.routes(Standing(served.host), [], slowly, "1", "", None)])
    transport = httpx.ASGITransport(app)
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        for path in ("/openapi.json", "/openapi.json", "/docs", "/docs"):
            assert (await client.get(path)).status_code == 200
    assert len(made_in) == 2
    assert threading.current_thread() not in made_in


async def test_the_description_holds_every_route_and_resolves(served: Served) -> None:
    document = (await served.client.get("/openapi.json")).json()
    assert document == described(served.host)
    text = (await served.client.get("/openapi.json")).text
    for ref in set(re.findall(r'"#/components/schemas/([^"]+)"', text)):
        assert ref in document["components"]["schemas"], ref
    sell = document["paths"]["/shop/v1/sales"]["post"]
    assert sell["x-scope"] == "shop:write"
    assert sell["security"]
    assert sell["responses"]["409"] == {"$ref": "#/components/responses/Conflict"}
    (kind,) = document["components"]["responses"]["Conflict"]["content"]
    assert kind == "application/problem+json"
    assert "Idempotency-Key" in [p["name"] for p in sell["parameters"]]
    assert "security" not in document["paths"]["/v1/ping"]["get"]
    ids = [o["operationId"] for item in document["paths"].values() for o in item.values()]
    assert len(ids) == len(set(ids))
    reference = (await served.client.get("/docs")).text
    for path in document["paths"]:
        assert path.split("{")[0] in reference


async def test_metrics_are_prometheus_and_name_no_tenant(served: Served) -> None:
    await served.client.get("/shop/v1/stock", headers=served.headers())
    text = (await served.client.get("/metrics")).text
    for name in (
        'martech_bus_behind_items{source="shop",subscription="ledger.write_sales_down"}',
        'martech_outbox_head{module="shop"}',
        'martech_commands_due{module="shop"}',
        "martech_key_list_age_seconds",
        'martech_http_request_seconds_count{method="GET",route="/shop/v1/stock",status="2xx"} 1.0',
        "process_resident_memory_bytes",
    ):
        assert name in text
    assert str(served.tenant) not in text


async def test_a_bus_that_stands_still_is_not_ready(served: Served) -> None:
    pulse = Pulse()
    readier = Readier(served.host, served.keyring, pulse)
    assert (await readier.look()).checks["bus"] == "ok"
    pulse.beaten -= Pulse.LONGEST
    assert "stands still" in (await readier.look()).checks["bus"]
    pulse.beat()
    pulse.stopping = True
    assert not (await readier.look()).ready


async def test_who_cannot_verify_anybodys_key_is_not_ready(served: Served) -> None:
    """As a host that is started before the one that issues keys."""
    keyring = Keyring()
    readier = Readier(served.host, keyring, None)
    assert (await readier.look()).checks["keys"].startswith("Nobody's key can be verified")
    keyring.trust(ISSUER)  # the first page of what the issuers said; revocations are still to come
    assert (await readier.look()).checks["keys"] != "ok"
    given = Readier(served.host, Keyring([armour(ISSUER)]), None)
    assert (await given.look()).checks["keys"] == "ok"
    keyring.read_at = served.host.clock.now()
    assert (await readier.look()).checks["keys"] == "ok"
