"""X4 and X6: nobody sees or changes what is another tenant's, not even when queries forget."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from martech.app import load
from martech.kernel.files import installed
from martech.kernel.http.operating import parks
from martech.kernel.published.canvas import hearing, outward
from tests.chaos.choosing import whole_on
from tests.chaos.forgetful import before_the_wall, behind_the_wall, own_without_force
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

    bare: bool = False
    """Read, and without a canary even for those whose it is: it says numbers and ids."""


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
    "getTenant": Case(bare=True),
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
    "listAudit": Case(query=AFTER, bare=True),
    "listConsents": Case(),
    "lookUpPerson": Case(query={"kind": "user_id", "value": CANARY}),
    "listPeople": Case(query={"email": f"{CANARY}@example.com", **AFTER}),
    "getPerson": Case(),
    "recordConsent": Case({"status": "denied", "at": "2026-01-01T00:00:00Z"}),
    "getTimeline": Case(query={"event": f"Seen by {CANARY}", **AFTER}),
    "countPeople": Case(bare=True),
    "listActivities": Case(query={"event": f"Seen by {CANARY}", **AFTER}),
    "trackingCounts": Case(bare=True),
    "listRejections": Case(query={"message_id": f"{CANARY}-3", **AFTER}),
    "getRetention": Case(bare=True),
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
    "listMembers": Case(query=AFTER, bare=True),
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
    "getDeliveryStatus": Case(bare=True),
    "listSuppressions": Case(query={"address": "acme:address", **AFTER}),
    "suppress": Case({"address": "acme:address"}, once=True),
    "liftSuppression": Case(),
    **dict.fromkeys(["followLink", "loadPicture", "askToUnsubscribe"], Case(bare=True)),
    **dict.fromkeys(["lookAtLink", "lookAtPicture", "lookAtUnsubscribe", "unsubscribe"], Case()),
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
    "getSeries": Case(query={"measure": "people"}, bare=True),
    "getBreakdown": Case(query={"by": "bird"}),
    "getConversions": Case(query={"source": SOURCE, "by": "bird"}, bare=True),
    "getMessageFigures": Case(query={"source": SOURCE}, bare=True),
    "listEventNames": Case(),
    "getKept": Case(bare=True),
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
    "browserSettings": Case(bare=True),
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
            _check(operation, whose, answer, forgotten=forgotten)
            if not forgotten:
                where = f"{operation.name} with the key of {whose}"
                _check_alike(where, Told(answer, theirs), Told(alike, nobody))
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


MADE = re.compile(
    r"mt[sw]_[\w.-]+|\d{4}-\d\d-\d\dT[\d:.]+Z|[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}"
)
"""Keys, moments and ids: what is another in every answer."""


@dataclass(frozen=True)
class Told:
    """An answer to somebody who asked with these ids."""

    answer: httpx.Response
    ids: dict[str, str]

    def but_for(self, others: dict[str, str]) -> str:
        """What it says, but for the ids that were asked with; what stands in *others*, too, is
        kept."""
        said = self.answer.text
        for id_ in sorted({*self.ids.values()} - {*others.values()}, key=len, reverse=True):
            said = said.replace(id_, "…").replace(quote(id_), "…")
        return f"{self.answer.status_code} {MADE.sub('…', said)}"


def _check_alike(where: str, theirs: Told, nobody: Told) -> None:
    said, alike = theirs.but_for(nobody.ids), nobody.but_for(theirs.ids)
    if said != alike:
        raise GuaranteeBroken(f"{where}: {said[:200]}, but {alike[:200]} for nobody's")


def _check(operation: Operation, whose: str, answer: httpx.Response, *, forgotten: bool) -> None:
    where = f"{operation.name} with the key of {whose}"
    said = answer.text
    for own in OWN:
        if answer.request.content and own.encode() in answer.request.content:
            said = said.replace(own, "")  # what they sent themselves
    if CANARY in said or CANARY in str(answer.headers):
        raise GuaranteeBroken(f"{where}: a canary got out: {said[:200]}")
    if answer.status_code >= 500 and not forgotten:
        raise GuaranteeBroken(f"{where}: {answer.status_code} {answer.text[:200]}")
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


async def hidden_from_acme(town: Town) -> set[str]:
    """The operations that do not show the canaries to those whose they are."""
    hidden = set()
    for operation in operations(rest_api()):
        if operation.method == "GET":
            acme = Stranger(town, town.secret["acme"], CASES[operation.name])
            ids = {**ids_of_acme(town, operation), "after": ""}
            if CANARY not in (await acme.ask(operation, ids)).text:
                hidden.add(operation.name)
    return hidden


async def test_a_stranger_finds_nothing_whatever_they_ask_for(
    product_url: str, kind: str, full: bool
) -> None:
    most = None if full or kind == whole_on() else 1
    async with town(product_url) as acme_and_globex:
        hidden = await hidden_from_acme(acme_and_globex)
        bare = {*TELLING, *(name for name, case in CASES.items() if case.bare)}
        assert hidden < bare, "there is something to be found in all that is read"
        asked, _ = await visit(acme_and_globex, most=most)
        keys = 7 if most is None else 2
        insist(faults=0, wanted=0, tried=asked, planned=keys * len(CASES))


@pytest.mark.planted
def test_an_answer_that_tells_theirs_from_nobodys_is_found_out() -> None:
    theirs = Told(httpx.Response(404, text="u-1 is not yours."), {"user_id": "u-1"})
    nobody = Told(httpx.Response(404, text="u-2 is not there."), {"user_id": "u-2"})
    with pytest.raises(GuaranteeBroken, match=r"not yours.*, but .*not there"):
        _check_alike("getUser", theirs, nobody)


async def test_the_second_wall_holds_when_every_query_forgets_its_tenant(
    product_url: str, kind: str, full: bool
) -> None:
    most = None if full else 1
    async with town(product_url) as acme_and_globex:
        with before_the_wall() as forgetting:
            asked, refused = await visit(acme_and_globex, forgotten=kind == "sqlite", most=most)
        insist(faults=forgetting.statements, wanted=len(CASES), tried=asked, planned=2 * len(CASES))
        assert bool(refused) == (kind == "sqlite"), "SQLite refuses, PostgreSQL hides"


# not `planted`: it is another wall on each database, so none of them is left out of a short run
async def test_a_second_wall_that_is_down_is_found_out(product_url: str, kind: str) -> None:
    async with town(product_url) as acme_and_globex:
        host = acme_and_globex.host
        if kind == "postgresql":
            await own_without_force(host, product_url)
        with pytest.raises(GuaranteeBroken, match=OUT), behind_the_wall(host):
            await visit(acme_and_globex, forgotten=True)
