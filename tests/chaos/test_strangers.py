"""X4 and X6: nobody sees or changes what is another tenant's, not even when queries forget."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest

from martech.app import load
from martech.kernel.files import installed
from martech.kernel.http.operating import parks
from martech.kernel.published.canvas import hearing, outward
from tests import servers
from tests.chaos.forgetful import (
    before_the_wall,
    behind_the_wall,
    own_without_force,
)
from tests.chaos.history import GuaranteeBroken, insist
from tests.chaos.town import CANARY, Town, town
from tests.serving import rest_api

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Case:
    """How a stranger asks: with ids of acme's where there are ids, and with others."""

    body: object = None
    """*acme* stands in it for an id of acme's: ``{"user_id": "acme:user_id"}``."""

    query: dict[str, str] = field(default_factory=dict)
    media: str = "application/json"
    once: bool = False
    """Asked with one key only: the second time it would be another question."""


EVENT = {"userId": "acme:person_id", "messageId": f"{CANARY}-2", "event": "Tried", "type": "track"}
PARCEL = Case(EVENT | {"previousId": f"{CANARY}-device", "groupId": CANARY, "name": "Tried"})
BATCH = Case({"batch": [EVENT]})
OUT = "a canary got out|changed from outside"
AFTER = {"after": "acme:after"}
OWN = [f"{CANARY}{more}" for more in ("@example.com", "@nowhere.example", "-device", "-2", "-3")]
"""What strangers say themselves, and may hear again."""

NAMED = {"trait": "name", "is": "exists"}
SOURCE = "acme:source"

MODULES = load(installed())
PARKING = [module.name.title() for module in MODULES if parks(module)]
TELLING = [hearing(module).operation for module in MODULES if outward(module)]
"""What the kernel serves for a module, it serves for every new one too."""

CASES: dict[str, Case] = {
    "getTenant": Case(),
    "listUsers": Case(query=AFTER),
    "addUser": Case({"email": "acme:email", "name": "B", "role": "viewer"}, once=True),
    "getUser": Case(),
    "removeUser": Case(),
    "changeUser": Case({"name": "taken over", "role": "owner"}),
    "listKeys": Case(query={"user_id": "acme:user_id", **AFTER}),
    "issueKey": Case(
        {
            "kind": "secret",
            "name": "B",
            "user_id": "acme:user_id",
            "expires_at": "2100-01-01T00:00:00Z",
        }
    ),
    "getKey": Case(),
    "revokeKey": Case(),
    "rotateKey": Case({"overlap_seconds": 0}),
    "listAudit": Case(query=AFTER),
    "listConsents": Case(),
    "lookUpPerson": Case(query={"kind": "user_id", "value": CANARY}),
    "listPeople": Case(query={"email": f"{CANARY}@example.com", **AFTER}),
    "getPerson": Case(),
    "recordConsent": Case({"status": "denied", "at": "2026-01-01T00:00:00Z"}),
    "getTimeline": Case(query={"event": f"Seen by {CANARY}", **AFTER}),
    "countPeople": Case(),
    "listActivities": Case(query={"event": f"Seen by {CANARY}", **AFTER}),
    "trackingCounts": Case(),
    "listRejections": Case(query={"message_id": f"{CANARY}-3", **AFTER}),
    "getRetention": Case(),
    "changeRetention": Case({"days": 30}),
    "listTemplates": Case(query=AFTER),
    "createTemplate": Case({"name": "acme:address", "subject": "B", "html": "<p>B</p>"}, once=True),
    "getTemplate": Case(),
    "changeTemplate": Case(
        {"name": "taken over", "subject": "B", "html": "<p>B</p>", "revision": 1}
    ),
    "lintTemplate": Case(),
    "previewTemplate": Case({"sample": {"profile": {"name": "B"}}}),
    "publishTemplate": Case(),
    "withdrawTemplate": Case(),
    "listVersions": Case(query=AFTER),
    "getVersion": Case(),
    "listSegments": Case(query=AFTER),
    "createSegment": Case({"name": "acme:address", "condition": NAMED}, once=True),
    "getSegment": Case(),
    "changeSegment": Case({"name": "taken over", "condition": NAMED}),
    "deleteSegment": Case(),
    "listMembers": Case(query=AFTER),
    "previewSegment": Case({"condition": NAMED}),
    "listMemberships": Case(),
    "listSends": Case(query=AFTER),
    "getSend": Case(),
    "changeSend": Case({"rate": 1}),
    **dict.fromkeys(["pauseSend", "resumeSend", "cancelSend"], Case()),
    "previewMail": Case(query={"profile_id": "acme:profile_id"}),
    "listMessages": Case(
        query={"send_id": "acme:send_id", "profile_id": "acme:profile_id", **AFTER}
    ),
    "getMessage": Case(),
    "reconcile": Case(
        {
            "accepted": ["acme:message_id"],
            "since": "2025-01-01T00:00:00Z",
            "until": "2026-01-01T00:00:00Z",
        }
    ),
    "getDeliveryStatus": Case(),
    "listSuppressions": Case(query={"address": "acme:address", **AFTER}),
    "suppress": Case({"address": "acme:address"}, once=True),
    "liftSuppression": Case(),
    **dict.fromkeys(["followLink", "lookAtLink", "loadPicture", "lookAtPicture"], Case()),
    **dict.fromkeys(["askToUnsubscribe", "lookAtUnsubscribe", "unsubscribe"], Case()),
    "planCampaign": Case(
        {"name": "B", "segment_id": "acme:segment_id", "content_id": "acme:content_id"}
    ),
    "listCampaigns": Case(query=AFTER),
    "getCampaign": Case(),
    "changeCampaign": Case({"name": "taken over"}),
    "deleteCampaign": Case(),
    "launchCampaign": Case(),
    "scheduleCampaign": Case({"at": "2100-01-01T00:00:00Z"}),
    "unscheduleCampaign": Case(),
    **dict.fromkeys(["pauseCampaign", "resumeCampaign", "cancelCampaign"], Case()),
    "getCampaignStatus": Case(),
    "watchCampaign": Case(),
    "getSeries": Case(query={"measure": "people"}),
    "getBreakdown": Case(query={"by": "bird"}),
    "getConversions": Case(query={"source": SOURCE, "by": "bird"}),
    "getMessageFigures": Case(query={"source": SOURCE}),
    "listEventNames": Case(),
    "getKept": Case(),
    **dict.fromkeys(TELLING, Case()),
    **{f"listParked{name}": Case(query={"type": CANARY, **AFTER}) for name in PARKING},
    **{f"{act}Parked{name}": Case() for name in PARKING for act in ("show", "retry")},
    **{f"retryAllParked{name}": Case({"type": CANARY}) for name in PARKING},
    **{f"dropParked{name}": Case({"reason": "B"}) for name in PARKING},
    **dict.fromkeys(["a", "g", "i", "p", "s", "t"], PARCEL),
    **dict.fromkeys(["alias", "group", "identify", "page", "screen", "track"], PARCEL),
    **dict.fromkeys(["b", "batch"], BATCH),
    "trackCloudEvents": Case(
        {
            "specversion": "1.0",
            "id": "2",
            "source": "/elsewhere",
            "type": "Tried",
            "userid": "acme:person_id",
        },
        media="application/cloudevents+json",
    ),
    "browserSettings": Case(),
}
"""One for each operation of the OpenAPI document; a route without one fails the first test."""


@dataclass(frozen=True)
class Operation:
    name: str
    method: str
    path: str
    asked: tuple[str, ...]
    """The parameters in its path."""


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            asked = [p["name"] for p in described.get("parameters", []) if p["in"] == "path"]
            yield Operation(described["operationId"], method.upper(), path, tuple(asked))


class Stranger:
    """Somebody of globex, with one key."""

    def __init__(self, town: Town, key: str | None, case: Case) -> None:
        self.town = town
        self.key = key
        self.case = case

    async def ask(self, operation: Operation, ids: dict[str, str]) -> httpx.Response:
        path = operation.path
        for name in operation.asked:
            path = path.replace(f"{{{name}}}", ids[name])
        query = {
            name: filled
            for name, value in self.case.query.items()
            if (filled := self._filled(value, ids))
        }
        body = self._filled(self.case.body, ids)
        return await self.town.call(
            operation.method, path, body, key=self.key, query=query, media=self.case.media
        )

    def _filled(self, value: Any, ids: dict[str, str]) -> Any:
        match value:
            case dict():
                return {name: self._filled(each, ids) for name, each in value.items()}
            case list():
                return [self._filled(each, ids) for each in value]
            case str() if value.startswith("acme:"):
                return ids.get(value.removeprefix("acme:"))
            case _:
                return value


async def visit(town: Town, *, forgotten: bool = False, most: int | None = None) -> tuple[int, int]:
    """Ask for everything with every key, or only the first *most*; how many were asked, and how
    many were refused with 500.

    With *forgotten* the first wall is down: then an answer may be a 500, but never acme's.
    """
    keys: dict[str, str | None] = {**dict(list(town.strangers.items())[:most]), "nobody": None}
    asked = refused = 0
    before = await town.state_of_acme()
    for operation in operations(rest_api()):
        theirs = ids_of_acme(town, operation)
        nobody = ids_of_nobody(theirs)
        case = CASES[operation.name]
        for whose, key in list(keys.items())[: 1 if case.once else None]:
            stranger = Stranger(town, key, case)
            answer = await stranger.ask(operation, theirs)
            alike = await stranger.ask(operation, nobody)
            _check(operation, whose, answer, alike, forgotten=forgotten)
            refused += answer.status_code == 500
            asked += 1
    if (after := await town.state_of_acme()) != before:
        changed = [name for name in after if after[name] != before[name]]
        raise GuaranteeBroken(f"changed from outside: {changed}")
    return asked, refused


def ids_of_acme(town: Town, operation: Operation) -> dict[str, str]:
    """What stands for acme's in a case; *after* is where acme stands in this very list."""
    return {
        **town.ids,
        "key": town.ids["key_id"],
        "email": f"{CANARY}@example.com",
        "after": town.places.get(operation.path, ""),
    }


def ids_of_nobody(theirs: dict[str, str]) -> dict[str, str]:
    """Others of the same form; what must be well-formed to be understood at all is kept."""
    return {
        **{name: str(uuid4()) for name in theirs},
        **{name: theirs[name] for name in ("channel", "version", "after")},
        "email": f"{uuid4()}@example.com",
        "address": f"{uuid4()}@nowhere.example",
        "source": f"campaign:{uuid4()}",
    }


def _check(
    operation: Operation,
    whose: str,
    answer: httpx.Response,
    alike: httpx.Response,
    *,
    forgotten: bool,
) -> None:
    where = f"{operation.name} with the key of {whose}"
    said = answer.text
    for own in OWN:
        if answer.request.content and own.encode() in answer.request.content:
            said = said.replace(own, "")  # what they sent themselves
    if CANARY in said or CANARY in str(answer.headers):
        raise GuaranteeBroken(f"{where}: a canary got out: {said[:200]}")
    if answer.status_code >= 500 and not forgotten:
        raise GuaranteeBroken(f"{where}: {answer.status_code} {answer.text[:200]}")
    if answer.status_code != alike.status_code and not forgotten:
        raise GuaranteeBroken(
            f"{where}: {answer.status_code}, but {alike.status_code} for nobody's"
        )
    wanted = {"every scope": {404}, "owner": {404}, "nobody": {401}}.get(whose, {403, 404})
    if "token" in operation.asked:  # a token is all one needs, if it is signed; this one is not
        wanted = {404}
    if "key" in operation.asked:
        wanted = {
            200,
            401,
            403,
        }  # what stands there is a credential; the stranger's own comes first
    if forgotten:
        wanted = wanted | {500}
    if operation.asked and answer.status_code not in wanted:
        raise GuaranteeBroken(f"{where}: {answer.status_code} {answer.text[:200]}")


def test_every_route_has_a_case() -> None:
    named = {operation.name for operation in operations(rest_api())}
    assert named == CASES.keys(), "give each route a case in CASES, and each case a route"


async def seen_by_acme(town: Town) -> int:
    """How many operations show the canaries to those whose they are."""
    seen = 0
    for operation in operations(rest_api()):
        if operation.method == "GET":
            acme = Stranger(town, town.secret["acme"], CASES[operation.name])
            ids = {**ids_of_acme(town, operation), "after": ""}
            seen += CANARY in (await acme.ask(operation, ids)).text
    return seen


async def test_a_stranger_finds_nothing_whatever_they_ask_for(product_url: str) -> None:
    async with town(product_url) as acme_and_globex:
        assert await seen_by_acme(acme_and_globex) >= 10, "there is something to be found"
        asked, _ = await visit(acme_and_globex)
        insist(faults=0, wanted=0, tried=asked, planned=7 * len(CASES))


async def test_the_second_wall_holds_when_every_query_forgets_its_tenant(
    product_url: str, kind: str, full: bool
) -> None:
    most = None if full else 1
    async with town(product_url) as acme_and_globex:
        with before_the_wall() as forgetting:
            asked, refused = await visit(acme_and_globex, forgotten=kind == "sqlite", most=most)
        insist(faults=forgetting.statements, wanted=len(CASES), tried=asked, planned=2 * len(CASES))
        assert bool(refused) == (kind == "sqlite"), "SQLite refuses, PostgreSQL hides"


async def test_a_second_wall_that_is_down_is_found_out(product_url: str, kind: str) -> None:
    async with town(product_url) as acme_and_globex:
        host = acme_and_globex.host
        if kind == "postgresql":
            await own_without_force(host, product_url)
        with pytest.raises(GuaranteeBroken, match=OUT), behind_the_wall(host):
            await visit(acme_and_globex, forgotten=True)


def test_the_modules_suites_pass_on_postgresql_with_forgetful_queries(full: bool) -> None:
    suites = ["tests/modules"] if full else ["tests/modules/tracking/test_counts.py"]
    forgetful = [sys.executable, "-m", "pytest", "-p", "tests.chaos.forgetful", "-k", "postgresql"]
    run = subprocess.run(
        [*forgetful, *suites],
        env={**os.environ, "MARTECH_TEST_POSTGRES_URL": servers.postgres().url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:]
