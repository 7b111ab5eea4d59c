"""Edits of our contracts that break a promise, with what is said of each.

A row is the rule, the file, what somebody writes at which JSON pointers, and of the
verdict the pointer, what was and what is.
"""

from collections.abc import Mapping
from typing import Any

GONE = object()

EVENTS = "contracts/personalization/asyncapi.json"
COUNTED = "contracts/delivery/asyncapi.json"
ROUTES = "contracts/personalization/openapi.json"
PORT = "contracts/personalization/port.json"

TELLS = "/components/messages/personalization.segment_changed.v1"
CHANGE = "/components/schemas/SegmentChange"
OPENED = "/components/schemas/Counts/properties/opened"
ID = {"type": "string", "format": "uuid"}
ANY_TEXT = {"type": "string"}
TEXT_OR_NULL = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}

SEGMENTS = "/paths/~1personalization~1v1~1segments"
SEGMENT = "/paths/~1personalization~1v1~1segments~1{segment_id}"
DEFINE = "/components/schemas/DefineSegment"
ANSWER = "/components/schemas/Segment"
QUESTION = "/paths/~1_ports~1personalization~1members/post"
ASKED = f"{QUESTION}/requestBody/content/application~1json/schema"
READS = f"{QUESTION}/x-reads"
MEMBERS = f"{ASKED}/properties"
LIMIT = f"{MEMBERS}/limit"
PAGE = "/components/schemas/Members"

Edits = Mapping[str, Any]
Broken = tuple[str, str, Edits, str, Any, Any]

EVENTS_BROKEN: list[Broken] = [
    ("event-removed", EVENTS, {TELLS: GONE}, TELLS, "personalization.segment_changed.v1", None),
    (
        "field-removed",
        EVENTS,
        {f"{CHANGE}/properties/version": GONE, f"{CHANGE}/required/3": GONE},
        f"{CHANGE}/properties/version",
        {"type": "integer"},
        None,
    ),
    ("field-removed", COUNTED, {OPENED: GONE}, OPENED, {"type": "integer", "default": 0}, None),
    (
        "newly-required",
        EVENTS,
        {f"{CHANGE}/properties/why": ANY_TEXT, f"{CHANGE}/required/-": "why"},
        f"{CHANGE}/properties/why",
        None,
        "required",
    ),
    (
        "newly-required",
        COUNTED,
        {"/components/schemas/Counts/required/-": "opened"},
        OPENED,
        "optional",
        "required",
    ),
    (
        "newly-optional",
        EVENTS,
        {f"{CHANGE}/required/4": GONE},
        f"{CHANGE}/properties/at",
        "required",
        "optional",
    ),
    (
        "type-changed",
        EVENTS,
        {f"{CHANGE}/properties/version": {"type": "number"}},
        f"{CHANGE}/properties/version",
        {"type": "integer"},
        {"type": "number"},
    ),
    (
        "type-changed",
        EVENTS,
        {f"{CHANGE}/properties/version": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
        f"{CHANGE}/properties/version/anyOf/1",
        {"type": "integer"},
        {"type": "null"},
    ),
    (
        "values-added",
        EVENTS,
        {f"{CHANGE}/properties/change/enum/-": "stayed"},
        f"{CHANGE}/properties/change/enum",
        ["entered", "exited"],
        ["entered", "exited", "stayed"],
    ),
    (
        "values-removed",
        EVENTS,
        {f"{CHANGE}/properties/change/enum/1": GONE},
        f"{CHANGE}/properties/change/enum",
        ["entered", "exited"],
        ["entered"],
    ),
    (
        "format-changed",
        EVENTS,
        {f"{CHANGE}/properties/profile_id/format": GONE},
        f"{CHANGE}/properties/profile_id/format",
        "uuid",
        None,
    ),
    (
        "bound-changed",
        EVENTS,
        {f"{CHANGE}/properties/version/minimum": 1},
        f"{CHANGE}/properties/version/minimum",
        None,
        1,
    ),
    ("default-changed", COUNTED, {f"{OPENED}/default": 1}, f"{OPENED}/default", 0, 1),
    (
        "unjudged",
        EVENTS,
        {f"{CHANGE}/not": {"required": ["why"]}},
        f"{CHANGE}/not",
        None,
        {"required": ["why"]},
    ),
    ("folded-changed", EVENTS, {f"{TELLS}/x-folded": False}, f"{TELLS}/x-folded", True, False),
    (
        "subject-changed",
        EVENTS,
        {f"{TELLS}/x-subject": "segment_id"},
        f"{TELLS}/x-subject",
        "profile_id",
        "segment_id",
    ),
    (
        "content-removed",
        EVENTS,
        {f"{TELLS}/contentType": "application/cbor"},
        f"{TELLS}/contentType",
        "application/json",
        "application/cbor",
    ),
    (
        "newly-optional",
        EVENTS,
        {"/components/schemas/CloudEvent/required/5": GONE},
        "/components/schemas/CloudEvent/properties/tenant",
        "required",
        "optional",
    ),
]

NAMES_BROKEN: list[Broken] = [
    (
        "subscription-removed",
        "contracts/profiles/asyncapi.json",
        {
            "/operations/hear.record_what_was_tracked.tracking.events_tracked.v1": GONE,
            "/operations/hear.record_all.tracking.events_tracked.v1": {"action": "receive"},
        },
        "/operations/hear.record_what_was_tracked.tracking.events_tracked.v1",
        "record_what_was_tracked",
        None,
    ),
    (
        "command-removed",
        "contracts/tracking/asyncapi.json",
        {"/x-commands/tracking.forget.v1": GONE, "/x-commands/tracking.erase.v1": {}},
        "/x-commands/tracking.forget.v1",
        "tracking.forget.v1",
        None,
    ),
]

ROUTES_BROKEN: list[Broken] = [
    ("operation-removed", ROUTES, {f"{SEGMENT}/get": GONE}, f"{SEGMENT}/get", "getSegment", None),
    (
        "operation-renamed",
        ROUTES,
        {f"{SEGMENT}/get/operationId": "readSegment"},
        f"{SEGMENT}/get/operationId",
        "getSegment",
        "readSegment",
    ),
    (
        "scope-changed",
        ROUTES,
        {f"{SEGMENT}/get/x-scope": "personalization:write"},
        f"{SEGMENT}/get/x-scope",
        "personalization:read",
        "personalization:write",
    ),
    (
        "security-changed",
        ROUTES,
        {f"{SEGMENT}/get/security/1": GONE},
        f"{SEGMENT}/get/security",
        [{"key": []}, {"basic": []}],
        [{"key": []}],
    ),
    (
        "parameter-removed",
        ROUTES,
        {f"{SEGMENTS}/get/parameters/0": GONE},
        f"{SEGMENTS}/get/parameters/0",
        "after",
        None,
    ),
    (
        "newly-required",
        ROUTES,
        {f"{SEGMENTS}/get/parameters/1/required": True},
        f"{SEGMENTS}/get/parameters/1",
        "optional",
        "required",
    ),
    (
        "newly-required",
        ROUTES,
        {
            f"{SEGMENTS}/get/parameters/-": {
                "name": "q",
                "in": "query",
                "required": True,
                "schema": {"type": "string", "default": ""},
            }
        },
        f"{SEGMENTS}/get/parameters/2",
        None,
        "required",
    ),
    (
        "default-changed",
        ROUTES,
        {f"{SEGMENTS}/get/parameters/1/schema/default": 50},
        f"{SEGMENTS}/get/parameters/1/schema/default",
        100,
        50,
    ),
    (
        "bound-changed",
        ROUTES,
        {f"{SEGMENTS}/get/parameters/1/schema/maximum": 500},
        f"{SEGMENTS}/get/parameters/1/schema/maximum",
        1000.0,
        500,
    ),
    (
        "body-removed",
        ROUTES,
        {f"{SEGMENTS}/post/requestBody": GONE},
        f"{SEGMENTS}/post/requestBody",
        {
            "content": {"application/json": {"schema": {"$ref": f"#{DEFINE}"}}},
            "required": True,
            "x-max-bytes": 256_000,
        },
        None,
    ),
    (
        "newly-required",
        ROUTES,
        {f"{SEGMENT}/get/requestBody": {"required": True, "content": {}}},
        f"{SEGMENT}/get/requestBody",
        None,
        "required",
    ),
    (
        "content-removed",
        ROUTES,
        {f"{SEGMENTS}/post/requestBody/content/application~1json": GONE},
        f"{SEGMENTS}/post/requestBody/content/application~1json",
        "application/json",
        None,
    ),
    (
        "newly-required",
        ROUTES,
        {
            f"{DEFINE}/properties/note": {"type": "string", "default": ""},
            f"{DEFINE}/required/-": "note",
        },
        f"{DEFINE}/properties/note",
        None,
        "required",
    ),
    (
        "field-removed",
        ROUTES,
        {f"{DEFINE}/properties/name": GONE, f"{DEFINE}/required/1": GONE},
        f"{DEFINE}/properties/name",
        {"type": "string", "maxLength": 200, "minLength": 1},
        None,
    ),
    (
        "bound-changed",
        ROUTES,
        {f"{DEFINE}/properties/condition/maxProperties": 8},
        f"{DEFINE}/properties/condition/maxProperties",
        None,
        8,
    ),
    (
        "field-removed",
        ROUTES,
        {f"{ANSWER}/properties/size": GONE, f"{ANSWER}/required/6": GONE},
        f"{ANSWER}/properties/size",
        {"type": "integer"},
        None,
    ),
    (
        "newly-optional",
        ROUTES,
        {f"{ANSWER}/required/6": GONE},
        f"{ANSWER}/properties/size",
        "required",
        "optional",
    ),
    (
        "type-changed",
        ROUTES,
        {f"{ANSWER}/properties/size": {"type": ["integer", "null"]}},
        f"{ANSWER}/properties/size",
        {"type": "integer"},
        {"type": "null"},
    ),
    (
        "status-removed",
        ROUTES,
        {f"{SEGMENT}/get/responses/200": GONE},
        f"{SEGMENT}/get/responses/200",
        "200",
        None,
    ),
    (
        "content-removed",
        ROUTES,
        {f"{SEGMENT}/get/responses/200/content/application~1json": GONE},
        f"{SEGMENT}/get/responses/200/content/application~1json",
        "application/json",
        None,
    ),
]

PORTS_BROKEN: list[Broken] = [
    ("question-removed", PORT, {QUESTION: GONE}, QUESTION, "members", None),
    (
        "field-removed",
        PORT,
        {f"{MEMBERS}/after": GONE},
        f"{MEMBERS}/after",
        TEXT_OR_NULL,
        None,
    ),
    ("newly-required", PORT, {f"{ASKED}/required/-": "limit"}, LIMIT, "optional", "required"),
    (
        "newly-required",
        PORT,
        {
            f"{MEMBERS}/fresh": {"type": "boolean", "default": False},
            f"{ASKED}/required/-": "fresh",
        },
        f"{MEMBERS}/fresh",
        None,
        "required",
    ),
    ("default-changed", PORT, {f"{LIMIT}/default": 500}, f"{LIMIT}/default", 1000, 500),
    (
        "type-changed",
        PORT,
        {f"{MEMBERS}/after": {**ANY_TEXT, "default": None}},
        f"{MEMBERS}/after",
        {"type": "null"},
        {**ANY_TEXT, "default": None},
    ),
    (
        "field-removed",
        PORT,
        {f"{PAGE}/properties/next": GONE, f"{PAGE}/required/1": GONE},
        f"{PAGE}/properties/next",
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        None,
    ),
    ("reads-changed", PORT, {READS: False}, READS, True, False),
]

PLANTED = [*EVENTS_BROKEN, *NAMES_BROKEN, *ROUTES_BROKEN, *PORTS_BROKEN]
