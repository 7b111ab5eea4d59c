"""Every operation is asked for once, well, and holds what `openapi.json` says of it.

`Promised` judges; it stands in front of every application that `tests.serving.serve` makes, too.
Here it is seen that none is left out, and that it finds what is wrong.
"""

from copy import deepcopy
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Router, post
from msgspec import defstruct
from uuid_utils.compat import uuid7

from martech.app import describe
from martech.kernel.clock import SystemClock
from martech.kernel.http import openapi
from martech.kernel.module import ManifestError
from martech.modules.access.domain import tenant_id
from martech.modules.delivery.domain.links import link_id
from tests.chaos.test_strangers import (
    CASES,
    Case,
    Operation,
    Stranger,
    ids_of_acme,
    ids_of_nobody,
    operations,
)
from tests.chaos.town import CANARY, Town, town
from tests.promised import Broken, Promises, promises_of
from tests.serving import rest_api

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
one_is_enough = pytest.mark.parametrize("kind", ["sqlite"])

ORDER = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
SOON = {"at": (SystemClock().now() + timedelta(days=30)).isoformat()}

SAID: dict[str, Case] = {
    "addUser": Case({"email": "new@example.com", "name": "B", "role": "viewer"}),
    "issueKey": Case({"kind": "secret", "name": "B", "scopes": ["profiles:read"]}),
    "scheduleCampaign": Case(SOON),
}
"""What those say who may, where a stranger says something else."""

CAMPAIGN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(["changeCampaign", "deleteCampaign", "launchCampaign", "scheduleCampaign"], ()),
    "unscheduleCampaign": ("schedule",),
    "pauseCampaign": ("launch",),
    "resumeCampaign": ("launch", "pause"),
    "cancelCampaign": ("launch",),
}
SEND: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(["changeSend", "pauseSend", "cancelSend"], ()),
    "resumeSend": ("pause",),
}
"""What has happened before to the campaign, or the send, of which this is asked."""


async def a_campaign(town: Town, before: tuple[str, ...]) -> str:
    """So slow that it is not over before the next question."""
    said = {name: town.ids[name] for name in ("segment_id", "content_id")}
    made = await town.do("POST", "/campaigns/v1/campaigns", {"name": "B", "rate": 0.01, **said})
    for act in before:
        path = f"/campaigns/v1/campaigns/{made['id']}/{act}"
        await town.do("POST", path, SOON if act == "schedule" else None)
    return str(made["id"])


async def a_send(town: Town, before: tuple[str, ...]) -> str:
    campaign = await a_campaign(town, ("launch",))
    await town.settle()
    sends = (await town.do("GET", "/delivery/v1/sends"))["data"]
    (send,) = [each["id"] for each in sends if each["source"] == f"campaign:{campaign}"]
    for act in before:
        await town.do("POST", f"/delivery/v1/sends/{send}/{act}")
    return str(send)


async def a_key(town: Town) -> str:
    said = SAID["issueKey"].body
    made = await town.do("POST", "/access/v1/keys", said)
    return str(made["key"]["id"])


async def a_user(town: Town) -> str:
    said = {"email": f"{uuid7()}@example.com", "name": "B", "role": "viewer"}
    return str((await town.do("POST", "/access/v1/users", said))["id"])


async def a_token(town: Town, kind: Any) -> str:
    """Of the mail that the town has sent; a link leads where the mail led."""
    async with town.host.unit("delivery", tenant_id("acme")) as delivery:
        signer = await delivery.signer()
    link = link_id(f"https://{CANARY}.example") if kind == "c" else ""
    return str(signer.token(kind, UUID(town.ids["message_id"]), link))


async def things_for(town: Town, name: str) -> dict[str, str]:
    """The ids of which *name* may be asked, where the town's own have been through it."""
    if name in CAMPAIGN:
        return {"campaign_id": await a_campaign(town, CAMPAIGN[name])}
    if name in SEND:
        return {"send_id": await a_send(town, SEND[name])}
    if name in ("revokeKey", "rotateKey"):
        return {"key_id": await a_key(town)}
    if name == "removeUser":
        return {"user_id": await a_user(town)}
    if name.startswith("dropParked"):
        return {"parked_id": "heard_more:7:0"}
    return {}


def _turn(operation: Operation) -> tuple[bool, int]:
    """First who looks, then who changes; last who leaves nothing for the others."""
    leaves_nothing = operation.name.startswith(("withdrawTemplate", "retryAllParked"))
    return leaves_nothing, ORDER.index(operation.method)


@one_is_enough
async def test_every_operation_takes_and_answers_what_it_promises(product_url: str) -> None:
    async with town(product_url) as acme:
        found = sorted(operations(rest_api()), key=_turn)
        refused = []
        for operation in found:
            ids = ids_of_acme(acme, operation) | {"after": ""}
            ids |= await things_for(acme, operation.name)
            if "token" in operation.asked:
                ids["token"] = await a_token(acme, operation.path[1])
            key = acme.write if operation.path.startswith("/v1/") else acme.secret
            said = SAID.get(operation.name, CASES[operation.name])
            answer = await Stranger(acme, key["acme"], said).ask(operation, ids)
            if answer.status_code >= 400:
                refused.append(f"{operation.name}: {answer.status_code} {answer.text}")
            promises_of(acme.host).meant(answer.request)
        assert refused == [], "held to nothing: say in this file how to ask them well"


@one_is_enough
async def test_a_body_is_published_as_strict_where_it_is(product_url: str) -> None:
    async with town(product_url) as acme:
        document = rest_api()
        seen = set()
        for operation in operations(document):
            described = document["paths"][operation.path][operation.method.lower()]
            case = CASES[operation.name]
            kinds = described.get("requestBody", {}).get("content", {})
            if case.media not in kinds or not isinstance(case.body, dict):
                continue
            key = acme.write if operation.path.startswith("/v1/") else acme.secret
            more = Case({**case.body, "nobodyknows": 1}, case.query, case.media)
            ids = ids_of_nobody(ids_of_acme(acme, operation))
            answer = await Stranger(acme, key["acme"], more).ask(operation, ids)
            refused = answer.is_client_error and answer.json().get("field") == "nobodyknows"
            shape = kinds[case.media]["schema"]
            name = shape["$ref"].rpartition("/")[2]
            strict = document["components"]["schemas"][name].get("additionalProperties") is False
            assert strict == refused, f"{operation.name}: {answer.text}"
            seen.add(strict)
        assert seen == {True, False}


PATHS = {
    "/things": {
        "post": {
            "operationId": "make",
            "requestBody": {
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Make"}}}
            },
            "responses": {
                "201": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Made"}}
                    }
                },
                "204": {"description": "Nothing to say."},
                "404": {"$ref": "#/components/responses/NotFound"},
            },
        }
    }
}
SCHEMAS: dict[str, Any] = {
    "Make": {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "additionalProperties": False,
    },
    "Made": {
        "type": "object",
        "properties": {
            "many": {"anyOf": [{"type": "integer"}, {"type": "number"}]},
            "at": {"type": "string", "format": "date-time"},
        },
        "required": ["many"],
    },
}


NOT_FOUND = {
    "content": {
        "application/problem+json": {
            "schema": {"properties": {"type": {"enum": ["/problems/not-found"]}}}
        }
    }
}


def promises(schemas: Any = SCHEMAS) -> Promises:
    components = {"schemas": schemas, "responses": {"NotFound": NOT_FOUND}}
    return Promises({"paths": PATHS, "components": components})


def sent(body: Any) -> httpx.Request:
    return httpx.Request("POST", "http://x/things", json=body)


def hold(status: int = 201, schemas: Any = SCHEMAS, **answer: Any) -> str | None:
    return promises(schemas).hold(sent({}), httpx.Response(status, **answer))


def test_what_is_as_it_was_promised_has_a_name() -> None:
    assert hold(json={"many": 1, "at": "2026-01-01T00:00:00Z", "more": "later"}) == "make"
    assert hold(204) == "make"
    elsewhere = httpx.Request("GET", "http://x/things")
    assert promises().hold(elsewhere, httpx.Response(405)) is None
    promises().meant(sent({"name": "tea"}))


def test_what_is_not_is_found_out() -> None:
    with pytest.raises(Broken, match="answered 409, and promises"):
        hold(409)
    problem = {"content-type": "application/problem+json"}
    with pytest.raises(Broken, match="'/problems/gone' is not one of"):
        hold(404, headers=problem, content=b'{"type":"/problems/gone"}')
    assert hold(404, headers=problem, content=b'{"type":"/problems/not-found"}') == "make"
    with pytest.raises(Broken, match="'text/plain'"):
        hold(text="1")
    with pytest.raises(Broken, match="'many' is a required property"):
        hold(json={})
    with pytest.raises(Broken, match="is not a 'date-time'"):
        hold(json={"many": 1, "at": "2026-01-01T00:00:00"})
    with pytest.raises(Broken, match=r"make takes: .*\('more' was unexpected"):
        promises().meant(sent({"name": "tea", "more": 1}))


def test_a_union_that_says_exactly_one_is_found_out() -> None:
    planted = deepcopy(SCHEMAS)
    many = planted["Made"]["properties"]["many"]
    many["oneOf"] = many.pop("anyOf")
    assert hold(schemas=planted, json={"many": 1.5}) == "make"
    with pytest.raises(Broken, match="valid under each of"):
        hold(schemas=planted, json={"many": 1})


def test_what_two_modules_call_alike_is_two_things() -> None:
    schemas = describe()["components"]["schemas"]
    assert "send_id" in schemas["Message"]["properties"]
    assert "messageId" in schemas["TrackingMessage"]["properties"]


def test_a_name_that_would_mean_two_things_is_refused() -> None:
    def taking(path: str, shape: type) -> Router:
        @post(path, opt={"public": True, "body": shape}, operation_id=f"take{path}")
        async def take() -> None: ...

        return Router(path="/", route_handlers=[take], tags=["shop"])

    one = defstruct("Thing", [("name", str)], module="one")
    two = defstruct("Thing", [("size", int)], module="two")
    openapi.describe(lambda: [taking("/one", one), taking("/again", one)], "1")
    with pytest.raises(ManifestError, match="Two shapes are called ShopThing"):
        openapi.describe(lambda: [taking("/one", one), taking("/two", two)], "1")
