"""More edits that break a promise: of what stands around the shapes, where and how it is told,
asked and written, and who may. Rows are as in `planted`.
"""

from tests.contracts.planted import (
    ANY_TEXT,
    EVENTS,
    GONE,
    PORT,
    QUESTION,
    ROUTES,
    SEGMENTS,
    TELLS,
    TEXT_OR_NULL,
    Broken,
)

CHANNEL = "/channels/personalization.segment_changed.v1"
TELL = "/operations/tell.personalization.segment_changed.v1"
SAID = {
    "action": "send",
    "channel": {"$ref": "#/channels/personalization.segment_changed.v1"},
}

EVENTS_BROKEN: list[Broken] = [
    (
        "event-renamed",
        EVENTS,
        {f"{CHANNEL}/address": "segments.changed"},
        f"{CHANNEL}/address",
        "personalization.segment_changed.v1",
        "segments.changed",
    ),
    (
        "event-renamed",
        EVENTS,
        {f"{TELLS}/name": "personalization.changed.v1"},
        f"{TELLS}/name",
        "personalization.segment_changed.v1",
        "personalization.changed.v1",
    ),
    ("event-removed", EVENTS, {TELL: GONE}, TELL, SAID, None),
    (
        "event-removed",
        EVENTS,
        {f"{TELL}/action": "receive"},
        TELL,
        SAID,
        {**SAID, "action": "receive"},
    ),
    (
        "event-removed",
        EVENTS,
        {f"{CHANNEL}/messages/event/$ref": "#/components/messages/profiles.profiles_merged.v1"},
        CHANNEL,
        "personalization.segment_changed.v1",
        None,
    ),
    ("newly-inward", EVENTS, {f"{TELLS}/x-inward": True}, f"{TELLS}/x-inward", None, True),
    (
        "unjudged",
        EVENTS,
        {f"{CHANNEL}/bindings": {"kafka": {"partitions": 3}}},
        f"{CHANNEL}/bindings",
        None,
        {"kafka": {"partitions": 3}},
    ),
    (
        "source-changed",
        "contracts/campaigns/asyncapi.json",
        {
            "/operations/hear.keep_status_current.delivery.send_progressed.v1": GONE,
            "/operations/hear.keep_status_current.profiles.send_progressed.v1": {
                "action": "receive"
            },
        },
        "/operations/hear.keep_status_current.delivery.send_progressed.v1",
        "delivery",
        "profiles",
    ),
]

KEY = "/components/securitySchemes/key"

ROUTES_BROKEN: list[Broken] = [
    (
        "style-changed",
        ROUTES,
        {f"{SEGMENTS}/get/parameters/1/explode": False},
        f"{SEGMENTS}/get/parameters/1",
        {"style": "form", "explode": True},
        {"style": "form", "explode": False},
    ),
    (
        "style-changed",
        ROUTES,
        {
            f"{SEGMENTS}/get/parameters/0/schema": GONE,
            f"{SEGMENTS}/get/parameters/0/content": {"application/json": {"schema": ANY_TEXT}},
        },
        f"{SEGMENTS}/get/parameters/0",
        {"style": "form", "explode": True},
        {"content": ["application/json"]},
    ),
    (
        "newly-required",
        ROUTES,
        {f"{SEGMENTS}/parameters": [{"name": "q", "in": "query", "required": True}]},
        f"{SEGMENTS}/parameters/0",
        None,
        "required",
    ),
    (
        "unjudged",
        ROUTES,
        {f"{SEGMENTS}/get/callbacks": {"done": {}}},
        f"{SEGMENTS}/get/callbacks",
        None,
        {"done": {}},
    ),
    (
        "unjudged",
        ROUTES,
        {f"{SEGMENTS}/post/requestBody/content/application~1json/encoding": {"name": {}}},
        f"{SEGMENTS}/post/requestBody/content/application~1json/encoding",
        None,
        {"name": {}},
    ),
    ("security-changed", ROUTES, {f"{KEY}/scheme": "digest"}, f"{KEY}/scheme", "bearer", "digest"),
    (
        "server-removed",
        ROUTES,
        {"/servers": [{"url": "https://other.example"}]},
        "/servers",
        "/",
        ["https://other.example"],
    ),
    (
        "body-lessened",
        ROUTES,
        {f"{SEGMENTS}/post/requestBody/x-max-bytes": 1000},
        f"{SEGMENTS}/post/requestBody/x-max-bytes",
        256_000,
        1000,
    ),
    (
        "newly-strict",
        "contracts/tracking/openapi.json",
        {"/components/schemas/TrackingBatch/additionalProperties": False},
        "/components/schemas/TrackingBatch/additionalProperties",
        None,
        False,
    ),
]

HEADERS = "/components/parameters"
REFUSED = "/components/schemas/Refusal/properties/module"

PORTS_BROKEN: list[Broken] = [
    (
        "newly-required",
        PORT,
        {
            f"{QUESTION}/parameters/-": {
                "name": "martech-shard",
                "in": "header",
                "required": True,
                "schema": ANY_TEXT,
            }
        },
        f"{QUESTION}/parameters/6",
        None,
        "required",
    ),
    (
        "newly-required",
        PORT,
        {f"{HEADERS}/martech-principal/required": True},
        f"{HEADERS}/martech-principal",
        "optional",
        "required",
    ),
    ("field-removed", PORT, {REFUSED: GONE}, REFUSED, TEXT_OR_NULL, None),
    (
        "security-changed",
        PORT,
        {"/components/securitySchemes/peer/scheme": "digest"},
        "/components/securitySchemes/peer/scheme",
        "bearer",
        "digest",
    ),
    (
        "security-changed",
        PORT,
        {"/security": [{"peer": [], "mutual": []}]},
        "/security",
        [{"peer": []}],
        [{"peer": [], "mutual": []}],
    ),
    (
        "status-removed",
        PORT,
        {f"{QUESTION}/responses/default": GONE},
        f"{QUESTION}/responses/default",
        "default",
        None,
    ),
]

AROUND = [*EVENTS_BROKEN, *ROUTES_BROKEN, *PORTS_BROKEN]
