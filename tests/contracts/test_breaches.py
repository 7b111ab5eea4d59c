"""Promises of ours that somebody breaks, one of each kind; and what breaks none."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest

from martech.kernel.published.gate import Breach, verdict
from martech.kernel.published.gate.breach import BESIDE, CURES, DATA
from martech.kernel.published.gate.places import unescaped
from tests.contracts.around import AROUND
from tests.contracts.mutations import CONTRACTS
from tests.contracts.planted import (
    ANSWER,
    ANY_TEXT,
    ASKED,
    CHANGE,
    DEFINE,
    EVENTS,
    GONE,
    ID,
    MEMBERS,
    PAGE,
    PLANTED,
    PORT,
    QUESTION,
    ROUTES,
    SEGMENT,
    SEGMENTS,
    TELLS,
    Edits,
)

BROKEN = [*PLANTED, *AROUND]


def edited(document: Mapping[str, Any], edits: Edits) -> Any:
    """A copy, with something else, or nothing, at each JSON pointer (``-`` is behind the last)."""
    copy = deepcopy(document)
    for pointer, value in edits.items():
        *way, last = (unescaped(key) for key in pointer.split("/")[1:])
        here: Any = copy
        for key in way:
            here = here[int(key) if isinstance(here, list) else key]
        if last == "-":
            here.append(deepcopy(value))
            continue
        place = int(last) if isinstance(here, list) else last
        if value is GONE:
            del here[place]
        else:
            here[place] = deepcopy(value)
    return copy


@pytest.mark.parametrize(
    ("rule", "file", "edits", "pointer", "was", "now"),
    BROKEN,
    ids=[f"{file.split('/')[2]} {rule} {pointer}" for rule, file, _, pointer, *_ in BROKEN],
)
def test_a_broken_promise_is_named_and_nothing_else(
    rule: str, file: str, edits: Edits, pointer: str, was: Any, now: Any
) -> None:
    (found,) = verdict({file: CONTRACTS[file]}, {file: edited(CONTRACTS[file], edits)})
    assert (found.file, found.pointer, found.rule) == (file, pointer, rule)
    assert (found.was, found.now) == (was, now)
    assert found.instead.startswith(CURES[rule])
    assert (BESIDE[file.split("/")[2]] in found.instead) == (rule not in DATA)


def test_a_contract_that_is_gone_is_one_broken_promise() -> None:
    left = {path: document for path, document in CONTRACTS.items() if path != PORT}
    assert verdict(CONTRACTS, left) == [
        Breach(
            file=PORT,
            pointer="",
            rule="contract-removed",
            was=PORT,
            now=None,
            instead="Bring it back: a module that leaves takes its promises along.",
        )
    ]


def test_a_file_that_did_not_say_a_word_yet_has_promised_nothing_by_it() -> None:
    then = edited(CONTRACTS[PORT], {f"{QUESTION}/x-reads": GONE})
    assert verdict({PORT: then}, {PORT: CONTRACTS[PORT]}) == []
    named = edited(CONTRACTS[EVENTS], {"/x-commands": GONE})
    assert verdict({EVENTS: named}, {EVENTS: CONTRACTS[EVENTS]}) == []


def differing(file: str, then: Edits, now: Edits) -> list[tuple[str, str]]:
    """What is said where two edits of one contract are compared: rule and pointer."""
    documents = [{file: edited(CONTRACTS[file], edits)} for edits in (then, now)]
    return [(found.rule, found.pointer) for found in verdict(*documents)]


ETAG = f"{SEGMENT}/get/responses/200/headers/ETag"
SENT: Mapping[str, Any] = {"required": True, "schema": ANY_TEXT}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({ETAG: GONE}, [("header-removed", ETAG)]),
        ({f"{ETAG}/required": False}, [("newly-optional", ETAG)]),
        ({f"{ETAG}/schema/type": "integer"}, [("type-changed", f"{ETAG}/schema")]),
        ({f"{ETAG}/explode": True}, [("style-changed", ETAG)]),
        ({ETAG: GONE, ETAG.lower(): SENT}, []),
    ],
)
def test_a_header_of_an_answer_is_promised_too(now: Edits, said: Any) -> None:
    """None of our answers has one yet."""
    (holder, _, _) = ETAG.rpartition("/")
    sent: Edits = {holder: {"ETag": SENT}}
    assert differing(ROUTES, sent, {**sent, **now}) == said


KEYS = [{"key": []}]
FOR_ALL = f"{SEGMENT}/get/security"


def test_what_is_said_for_all_operations_holds_for_each() -> None:
    open_door: Edits = {FOR_ALL: GONE}
    assert differing(ROUTES, open_door, {**open_door, "/security": KEYS}) == [
        ("security-changed", "/security")
    ]
    assert differing(ROUTES, {}, {FOR_ALL: GONE, "/security": [*KEYS, {"basic": []}]}) == []
    assert differing(ROUTES, {"/security": KEYS, FOR_ALL: []}, {"/security": KEYS}) == [
        ("security-changed", FOR_ALL)
    ]


PROBLEM = "application/problem+json"
REFUSED = {
    "description": "Refused.",
    "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
BARE = {"description": "Refused."}
ANSWERS = f"{SEGMENT}/get/responses"
IN_THE_RANGE = f"{ANSWERS}/4XX/content/application~1problem+json"


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        ({"4XX": REFUSED}, {"404": REFUSED, "409": REFUSED}, []),
        ({"4XX": REFUSED}, {"4XX": REFUSED, "404": BARE}, [("content-removed", IN_THE_RANGE)]),
        ({"4XX": REFUSED}, {"503": REFUSED}, [("status-removed", f"{ANSWERS}/4XX")]),
        ({"404": REFUSED}, {"4XX": REFUSED}, [("status-removed", f"{ANSWERS}/404")]),
        ({"409": REFUSED}, {"422": REFUSED}, [("status-removed", f"{ANSWERS}/409")]),
        ({"default": REFUSED}, {"4XX": REFUSED, "5XX": REFUSED}, []),
        ({"404": REFUSED}, {"404": REFUSED, "304": BARE}, []),
    ],
)
def test_a_status_is_read_as_what_covered_it(then: Edits, now: Edits, said: Any) -> None:
    assert differing(ROUTES, {ANSWERS: then}, {ANSWERS: now}) == said


def test_a_file_in_which_nothing_said_what_it_refuses_has_promised_nothing_by_it() -> None:
    """Requests have been strict from the start; for a while the files did not say so."""
    silent = {
        f"/components/schemas/{name}/additionalProperties": GONE
        for name, schema in CONTRACTS[ROUTES]["components"]["schemas"].items()
        if schema.get("additionalProperties") is False
    }
    assert f"{DEFINE}/additionalProperties" in silent
    assert differing(ROUTES, silent, {}) == []
    lenient: Edits = {f"{DEFINE}/additionalProperties": GONE}
    strict = f"{DEFINE}/additionalProperties"
    assert differing(ROUTES, lenient, {}) == [("newly-strict", strict)]
    assert differing(ROUTES, lenient, {strict: ANY_TEXT}) == [("newly-strict", strict)]
    assert differing(ROUTES, lenient, {strict: True}) == []


def test_a_file_that_did_not_say_what_stays_inside_has_promised_nothing_by_it() -> None:
    inward: Edits = {f"{TELLS}/x-inward": True}
    assert differing(EVENTS, {"/x-asks": GONE}, inward) == []
    assert differing(EVENTS, inward, {}) == []


def test_who_asks_a_port_writes_what_it_has_declared_and_no_more() -> None:
    lenient: Edits = {f"{ASKED}/additionalProperties": GONE}
    assert differing(PORT, lenient, {}) == []


SIZE = f"{ANSWER}/properties/size"
LIMIT = f"{SEGMENTS}/get/parameters/1/schema"


@pytest.mark.parametrize(
    ("place", "then", "now", "said"),
    [
        (LIMIT, {"exclusiveMinimum": 0}, {"minimum": 0}, []),
        (LIMIT, {"minimum": 0}, {"exclusiveMinimum": 0}, ["bound-changed"]),
        (LIMIT, {"minimum": 1}, {"exclusiveMinimum": 0}, []),
        (LIMIT, {"minimum": 0, "exclusiveMinimum": 0}, {"exclusiveMinimum": 0}, []),
        (LIMIT, {"minimum": 1}, {"minimum": 0, "exclusiveMinimum": 1}, ["bound-changed"]),
        (SIZE, {"minimum": 0}, {"exclusiveMinimum": 0}, []),
        (SIZE, {"exclusiveMaximum": 9}, {"maximum": 9}, ["bound-changed"]),
        (SIZE, {"maximum": 9}, {"exclusiveMaximum": 9}, []),
    ],
)
def test_a_bound_is_an_edge_and_whether_that_is_inside(
    place: str, then: Edits, now: Edits, said: list[str]
) -> None:
    numbers = [{place: {"type": "number", "default": 1, **bounds}} for bounds in (then, now)]
    assert [rule for rule, _ in differing(ROUTES, *numbers)] == said


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        ({"minimum": 1}, {"exclusiveMinimum": 0}, []),
        ({"exclusiveMaximum": 9}, {"maximum": 8}, []),
        ({"exclusiveMaximum": 9}, {"maximum": 7}, ["bound-changed"]),
        ({"minimum": 1}, {"minimum": 0.5}, []),
        ({}, {"multipleOf": 1}, []),
    ],
)
def test_of_whole_numbers_the_last_inside_counts(then: Edits, now: Edits, said: list[str]) -> None:
    whole = [{LIMIT: {"type": "integer", "default": 1, **bounds}} for bounds in (then, now)]
    assert [rule for rule, _ in differing(ROUTES, *whole)] == said


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        ({"enum": [1]}, {"enum": [1.0, 2]}, []),
        ({"enum": [[1], {"a": 1}]}, {"enum": [[1.0], {"a": 1.0}]}, []),
        ({"enum": [1]}, {"enum": [1.5]}, ["values-removed"]),
        ({"enum": [1, 0]}, {"enum": [True, False]}, ["type-changed"]),
        ({"enum": [[1]]}, {"enum": [[True]]}, ["values-removed"]),
        ({"type": "boolean"}, {"enum": [True, False]}, []),
        ({"type": ["null", "string"], "enum": ["a", None]}, {"enum": [None, "a"]}, []),
        (ANY_TEXT, {**ANY_TEXT, "minLength": 0}, []),
    ],
)
def test_values_are_compared_as_json_means_them(then: Any, now: Any, said: list[str]) -> None:
    fields = [{f"{DEFINE}/properties/note": schema} for schema in (then, now)]
    assert [rule for rule, _ in differing(ROUTES, *fields)] == said


OTHER = SEGMENT.replace("segment_id", "id")


def test_of_a_placeholder_only_its_place_in_the_path_counts() -> None:
    item = deepcopy(CONTRACTS[ROUTES]["paths"][unescaped(SEGMENT.split("/")[2])])
    for said in item.values():
        for parameter in said.get("parameters", ()):
            if parameter["in"] == "path":
                parameter["name"] = "id"
    assert differing(ROUTES, {}, {SEGMENT: GONE, OTHER: item}) == []
    item["get"]["parameters"][0]["schema"] = {"type": "integer"}
    place = f"{OTHER}/get/parameters/0/schema"
    assert differing(ROUTES, {}, {SEGMENT: GONE, OTHER: item}) == [("type-changed", place)]


def test_a_reader_that_takes_no_more_than_it_knows_is_told_nothing_more() -> None:
    """Ours pass over what they do not know; a schema that says otherwise is taken at its word."""
    then = edited(CONTRACTS[EVENTS], {f"{CHANGE}/additionalProperties": False})
    now = edited(then, {f"{CHANGE}/properties/why": ANY_TEXT})
    (found,) = verdict({EVENTS: then}, {EVENTS: now})
    assert (found.pointer, found.rule) == (f"{CHANGE}/properties/why", "field-added")


TOLD = "contracts/personalization/golden/personalization.segment_changed.v1.json"


def test_what_was_told_once_is_not_told_otherwise_later() -> None:
    now = edited(CONTRACTS[TOLD], {"/least/items/0/version": 8})
    (found,) = verdict(CONTRACTS, {**CONTRACTS, TOLD: now})
    assert (found.file, found.rule) == (TOLD, "golden-changed")
    assert (found.was, found.now) == (CONTRACTS[TOLD], now)
    assert found.instead == "Put back what was told: nobody can tell it otherwise by now."


def test_every_rule_has_been_broken_here() -> None:
    apart = {"contract-removed", "header-removed", "field-added", "golden-changed"}
    apart |= {"upcaster-removed"}  # by a sample: no module of the product lifts yet
    assert {rule for rule, *_ in BROKEN} | apart == set(CURES)


V2 = "personalization.segment_changed.v2"
ALLOWED: list[tuple[str, str, Edits]] = [
    ("nothing", EVENTS, {}),
    ("a field with a default", EVENTS, {f"{CHANGE}/properties/why": {**ANY_TEXT, "default": ""}}),
    ("an event", EVENTS, {f"/components/messages/{V2}": {"payload": ANY_TEXT}}),
    ("a subscription", EVENTS, {"/operations/hear.keep_all.x.y.v1": {"action": "receive"}}),
    (
        "one event less for a subscription",
        EVENTS,
        {"/operations/hear.keep_segments_current.profiles.profiles_merged.v1": GONE},
    ),
    ("a command", EVENTS, {"/x-commands/personalization.forget.v1": {}}),
    ("words", EVENTS, {f"{CHANGE}/description": "Said better."}),
    ("a route", ROUTES, {"/paths/~1personalization~1v2~1segments": {"get": {"responses": {}}}}),
    ("a field of a request", ROUTES, {f"{DEFINE}/properties/note": ANY_TEXT}),
    ("a field that need not be said", ROUTES, {f"{DEFINE}/required/1": GONE}),
    ("a longer name", ROUTES, {f"{DEFINE}/properties/name/maxLength": 300}),
    ("more on a page", ROUTES, {f"{SEGMENTS}/get/parameters/1/schema/maximum": 5000}),
    (
        "a parameter",
        ROUTES,
        {f"{SEGMENTS}/get/parameters/-": {"name": "q", "in": "query", "schema": ANY_TEXT}},
    ),
    (
        "a text where an id was",
        ROUTES,
        {f"{SEGMENT}/get/parameters/0/schema": {"type": "string", "maxLength": 100}},
    ),
    ("a field of an answer", ROUTES, {f"{ANSWER}/properties/note": ANY_TEXT}),
    ("an id where a text was", ROUTES, {f"{ANSWER}/properties/name": ID}),
    ("deprecated", ROUTES, {f"{SEGMENT}/get/deprecated": True}),
    ("a status", ROUTES, {f"{SEGMENT}/get/responses/304": {"description": "As it was."}}),
    ("a way in", ROUTES, {f"{SEGMENT}/get/security/-": {"oidc": []}}),
    ("a door without a lock", ROUTES, {f"{SEGMENT}/get/security": GONE}),
    ("a question", PORT, {"/paths/~1_ports~1personalization~1count": {"post": {}}}),
    (
        "a parameter of all methods",
        ROUTES,
        {f"{SEGMENTS}/parameters": [{"name": "q", "in": "query", "schema": ANY_TEXT}]},
    ),
    ("an address", ROUTES, {"/servers": [{"url": "/"}, {"url": "https://other.example"}]}),
    ("words of a scheme", ROUTES, {"/components/securitySchemes/key/description": "A key."}),
    (
        "a header that need not be sent",
        PORT,
        {f"{QUESTION}/parameters/-": {"name": "x", "in": "header", "schema": ANY_TEXT}},
    ),
    ("an argument", PORT, {f"{MEMBERS}/fresh": {"type": "boolean", "default": False}}),
    ("an argument that need not be said", PORT, {f"{ASKED}/required/0": GONE}),
    ("a field of a port's answer", PORT, {f"{PAGE}/properties/total": ANY_TEXT}),
]


@pytest.mark.parametrize(
    ("file", "edits"), [row[1:] for row in ALLOWED], ids=[row[0] for row in ALLOWED]
)
def test_what_breaks_no_promise_is_let_through(file: str, edits: Edits) -> None:
    now = edited(CONTRACTS[file], edits)
    assert (now == CONTRACTS[file]) == (not edits)
    assert verdict({file: CONTRACTS[file]}, {file: now}) == []


def test_a_list_of_values_grows_if_it_was_open_from_the_start() -> None:
    closed = {"enum": ["active", "paused"]}
    listed = {"type": "string", "x-extensible-enum": ["active", "paused"]}
    longer = {"type": "string", "x-extensible-enum": ["active", "paused", "over"]}
    place = f"{ANSWER}/properties/state"

    def rules(then: Any, now: Any) -> list[str]:
        documents = [{ROUTES: edited(CONTRACTS[ROUTES], {place: said})} for said in (then, now)]
        return [found.rule for found in verdict(*documents)]

    assert rules(listed, longer) == []
    assert rules(closed, {"enum": ["active", "paused", "over"]}) == ["values-added"]
    assert rules(closed, longer) == ["values-added"]
