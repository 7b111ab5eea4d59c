"""A running platform says what it tells, in which form, and how each module stands."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import msgspec
import pytest

from martech.app import load
from martech.kernel.auth import IssuerKeyPublished
from martech.kernel.bus import Bus
from martech.kernel.files import installed
from martech.kernel.http.modules import ModuleCards
from martech.kernel.messages import Folded, wire_name
from martech.kernel.published.asyncapi import asyncapi, whole
from martech.kernel.published.canvas import events, outward
from martech.kernel.published.schemas import schema_of
from martech.kernel.settings import Settings
from tests import databases
from tests.commands import environment, run
from tests.kernel.test_http import problem
from tests.kernel.test_pages import Page
from tests.sample.shop.contract import PriceChanged
from tests.serving import Served, serve

pytestmark = pytest.mark.anyio

MODULES = load(installed())
TOLD = {wire_name(event): event for module in MODULES for event in events(module)}
one_is_enough = pytest.mark.parametrize("kind", ["sqlite"])


@pytest.fixture
async def served(sample_url: str) -> AsyncIterator[Served]:
    settings = Settings(database_url=sample_url, public_url="https://shop.example")
    async with serve(databases.SAMPLE, settings) as served:
        yield served


def references(document: object) -> set[str]:
    """Every ``$ref`` in *document*."""
    match document:
        case dict():
            found = {document["$ref"]} if isinstance(document.get("$ref"), str) else set()
            return found.union(*map(references, document.values()))
        case list():
            return set().union(*map(references, document))
        case _:
            return set()


def at(document: Any, reference: str) -> Any:
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


def test_the_whole_says_all_that_each_module_says() -> None:
    document = whole(MODULES, "1")
    for module in MODULES:
        own = asyncapi(module)
        assert own["channels"].keys() <= document["channels"].keys()
        assert own["x-commands"].items() <= document["x-commands"].items()
        for name, message in own["components"]["messages"].items():
            if "payload" in message:
                assert document["components"]["messages"][name]["x-subject"] == message["x-subject"]
    assert TOLD.keys() <= document["components"]["messages"].keys()
    operations = sum(len(asyncapi(module)["operations"]) for module in MODULES)
    assert len(document["operations"]) == operations, "two modules had one name for two things"
    shapes = sum(len(asyncapi(module)["components"]["schemas"]) - 1 for module in MODULES)
    assert len(document["components"]["schemas"]) == shapes + 1


def test_a_module_says_whom_it_asks() -> None:
    asked = whole(MODULES, "1")["x-asks"]
    assert asked["campaigns"] == ["content", "delivery", "personalization"]
    assert asked["access"] == []
    for module in MODULES:
        assert asyncapi(module)["x-asks"] == {module.name: asked[module.name]}


def test_what_no_outside_system_hears_is_marked() -> None:
    document = whole(MODULES, "1")
    marked = {
        name for name, said in document["components"]["messages"].items() if "x-inward" in said
    }
    assert marked == TOLD.keys() - {name for module in MODULES for name in outward(module)}
    assert marked == {wire_name(IssuerKeyPublished)}
    assert "x-inward" in document["info"]["description"]


def test_whatever_the_whole_refers_to_stands_in_it() -> None:
    document = whole(MODULES, "1")
    assert all(at(document, reference) for reference in references(document))


def test_what_is_told_here_has_a_payload_also_where_it_is_heard() -> None:
    messages = whole(MODULES, "1")["components"]["messages"]
    here = {module.name for module in MODULES}
    listening = [s for module in MODULES for s in module.subscriptions if s.source in here]
    heard = {name for subscription in listening for name in subscription.types}
    assert heard
    assert all("payload" in messages[name] for name in heard)


def test_what_a_peer_tells_is_named_without_a_payload() -> None:
    (profiles,) = [module for module in MODULES if module.name == "profiles"]
    messages = whole([profiles], "1")["components"]["messages"]
    assert "payload" not in messages["tracking.events_tracked.v1"]


@one_is_enough
async def test_the_whole_is_served_to_anybody(served: Served) -> None:
    answer = await served.client.get("/asyncapi.json")
    assert answer.headers["content-type"] == "application/vnd.aai.asyncapi+json;version=3.0.0"
    assert answer.json()["asyncapi"] == "3.0.0"
    assert "shop.sold.v1" in answer.json()["channels"]


@one_is_enough
async def test_a_type_has_its_schema_where_dataschema_points(served: Served) -> None:
    answer = await served.client.get("/_schemas/shop.sold.v1")
    assert answer.headers["content-type"] == "application/schema+json"
    schema = answer.json()
    assert schema["$id"] == "https://shop.example/_schemas/shop.sold.v1"
    assert all(at(schema, reference) for reference in references(schema))
    assert schema["$defs"]["Sale"]["required"] == ["buyer", "number"]


@pytest.mark.parametrize("name", TOLD)
def test_every_type_has_a_schema_of_its_own_fields(name: str) -> None:
    schema = schema_of(TOLD[name], "x")
    shape = at(schema, schema["$ref"])
    fields = {field.encode_name for field in msgspec.structs.fields(TOLD[name])}
    assert shape["properties"].keys() == fields
    assert references(schema) <= {f"#/$defs/{part}" for part in schema["$defs"]}
    assert (fields == {"items"}) == issubclass(TOLD[name], Folded)


@one_is_enough
@pytest.mark.parametrize("name", ["shop.moved.v1", "shop.sold", "x" * 300, "%7F"])
async def test_a_type_that_nobody_tells_is_refused_with_those_there_are(
    served: Served, name: str
) -> None:
    refused = problem(await served.client.get(f"/_schemas/{name}"), 404)
    assert "shop.sold.v1" in str(refused["detail"])


async def test_each_module_shows_what_it_is_and_how_it_stands(served: Served) -> None:
    for _ in range(3):
        async with served.host.databases["shop"].transaction(served.tenant) as tx:
            tx.publish(PriceChanged(article="tea", version=1))
    accept = {"accept": "application/json"}
    answer = await served.client.get("/_modules", headers=accept)
    cards = {
        c.canvas.name: c for c in msgspec.json.decode(answer.content, type=ModuleCards).modules
    }
    assert list(cards) == ["shop", "ledger", "kitchen"]
    shop, ledger = cards["shop"], cards["ledger"]
    assert "shop.price_changed.v1" in [told.type for told in shop.canvas.tells]
    assert ("GET", "/shop/v1/events", "hearShop", "shop:hear") in [
        (route.method, route.path, route.operation, route.needs) for route in shop.canvas.routes
    ]
    assert ("shop.price_changed.v1", "write_price_down") in [
        (heard.type, heard.subscription) for heard in ledger.canvas.hears
    ]
    assert ledger.canvas.asks == ["shop"]
    assert shop.standing.told == 3
    assert {s.name: s.behind for s in ledger.standing.subscriptions} == {
        "ledger.write_sales_down": 0,
        "ledger.write_price_down": 3,
    }


async def test_people_are_shown_the_same_on_a_page_that_needs_no_script(served: Served) -> None:
    async with served.host.databases["shop"].transaction(served.tenant) as tx:
        tx.publish(PriceChanged(article="tea", version=1))
    await Bus(served.host).settle()
    answer = await served.client.get("/_modules", headers={"accept": "text/html"})
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "accept" in answer.headers["vary"]
    page = Page(answer.text)
    assert page.open == []
    assert page.loads == []
    assert {"shop", "ledger", "kitchen"} <= page.ids
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    for link in page.links:
        if link.startswith("/"):
            assert (await served.client.get(link)).status_code == 200, link
    assert "1 told" in answer.text
    assert "write_price_down" in answer.text


def martech(folder: Path, *arguments: str) -> CompletedProcess[str]:
    return run(*arguments, env=environment(folder, COLUMNS="300"), cwd=folder)


def test_the_command_line_shows_the_same(tmp_path: Path) -> None:
    before = martech(tmp_path, "modules", "profiles")
    assert before.returncode == 0, before.stderr
    assert "how they stand cannot be seen" in before.stderr
    assert not (tmp_path / "data").exists(), "whoever looks makes no database"
    assert martech(tmp_path, "migrate").returncode == 0
    every = martech(tmp_path, "modules")
    away = [line for line in every.stderr.splitlines() if " is away: " in line]
    assert (every.returncode, every.stderr.splitlines()) == (0, away), "but for who has left"
    assert "hears tracking.events_tracked.v1" in every.stdout
    assert "asks  content, delivery, personalization" in every.stdout
    assert every.stdout.count("0 told") == len(MODULES)
    one = martech(tmp_path, "modules", "profiles").stdout
    for word in ("record_what_was_tracked", "find(", "hearProfiles", "profiles:hear", "identities"):
        assert word in one, word
    cards = json.loads(martech(tmp_path, "modules", "--json").stdout)["modules"]
    assert [card["canvas"]["name"] for card in cards] == [module.name for module in MODULES]
    assert all(card["standing"]["available"] for card in cards)


def test_a_module_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    refused = martech(tmp_path, "modules", "profile")
    assert refused.returncode == 2
    assert "There is no module 'profile'; installed are access," in refused.stderr
