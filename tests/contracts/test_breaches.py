"""Promises of ours that somebody breaks, one of each kind; and what breaks none."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest

from martech.kernel.published.gate import Breach, verdict
from martech.kernel.published.gate.breach import BESIDE, CURES, DATA
from martech.kernel.published.gate.places import unescaped
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
    Edits,
)


def edited(document: Mapping[str, Any], edits: Edits) -> Any:
    """A copy, with something else, or nothing, at each JSON pointer (``-`` is behind the last)."""
    copy = deepcopy(document)
    for pointer, value in edits.items():
        *way, last = (unescaped(key) for key in pointer.split("/")[1:])
        here: Any = copy
        for key in way:
            here = here[int(key) if isinstance(here, list) else key]
        if last == "-":
            here.append(value)
            continue
        place = int(last) if isinstance(here, list) else last
        if value is GONE:
            del here[place]
        else:
            here[place] = value
    return copy


@pytest.mark.parametrize(
    ("rule", "file", "edits", "pointer", "was", "now"),
    PLANTED,
    ids=[f"{file.split('/')[2]} {rule} {pointer}" for rule, file, _, pointer, *_ in PLANTED],
)
def test_a_broken_promise_is_named_and_nothing_else(
    rule: str, file: str, edits: Edits, pointer: str, was: Any, now: Any
) -> None:
    (found,) = verdict(CONTRACTS, {**CONTRACTS, file: edited(CONTRACTS[file], edits)})
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


def test_a_header_that_is_gone_is_named() -> None:
    """None of our answers has one yet."""
    headers = f"{SEGMENT}/get/responses/200/headers"
    then = edited(CONTRACTS[ROUTES], {headers: {"ETag": {"schema": ANY_TEXT}}})
    (found,) = verdict({ROUTES: then}, {ROUTES: CONTRACTS[ROUTES]})
    assert (found.pointer, found.rule, found.was) == (f"{headers}/ETag", "header-removed", "ETag")


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
    assert {rule for rule, *_ in PLANTED} | apart == set(CURES)


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
    assert verdict(CONTRACTS, {**CONTRACTS, file: now}) == []


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
