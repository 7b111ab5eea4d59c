"""`openapi.json` says of each operation every status and every problem type it may answer with."""

import json
from pathlib import Path
from typing import Any

import pytest
from litestar import Controller, Router, get

from martech.kernel.errors import TooMany
from martech.kernel.http import openapi

ROOT = Path(__file__).parents[2]
PROMISED = {
    path.parent.name: json.loads(path.read_text()) for path in ROOT.glob("contracts/*/openapi.json")
}
"""What each module promises, also one that lives elsewhere by now."""

OPERATIONS = {
    said["operationId"]: said
    for document in PROMISED.values()
    for item in document["paths"].values()
    for said in item.values()
}
ALWAYS = {"500", "503", "504"}
GUARDED = ALWAYS | {"400", "401", "403", "422"}
SENT = {"408", "413"}
CHANGING = GUARDED | SENT | {"409"}


def refused(operation: dict[str, Any]) -> set[str]:
    return {status for status in operation["responses"] if status >= "400"}


@pytest.mark.parametrize(
    ("operation", "statuses"),
    [
        ("trackingCounts", GUARDED),
        ("listPeople", GUARDED),
        ("lookUpPerson", GUARDED | {"404"}),
        ("getPerson", GUARDED | {"404"}),
        ("getSeries", GUARDED | {"429"}),
        ("hearProfiles", GUARDED | {"429"}),
        ("changeRetention", CHANGING),
        ("deleteSegment", CHANGING | {"404"}),
        ("followLink", ALWAYS | {"404", "422", "429"}),
        ("batch", ALWAYS | SENT | {"400", "401", "403", "429"}),
    ],
)
def test_it_says_what_comes_of_the_route_and_what_it_declares(
    operation: str, statuses: set[str]
) -> None:
    assert refused(OPERATIONS[operation]) == statuses


def test_of_two_kinds_of_problem_with_one_status_it_says_both() -> None:
    responses = PROMISED["content"]["components"]["responses"]
    (name,) = OPERATIONS["previewTemplate"]["responses"]["422"].values()
    (content,) = responses[name.rpartition("/")[2]]["content"].values()
    _, fixed = content["schema"]["allOf"]
    assert fixed["properties"] == {
        "type": {"enum": ["/problems/invalid", "/problems/template-error"]},
        "status": {"const": 422},
    }


def test_no_range_stands_for_what_is_not_known() -> None:
    said = {status for each in OPERATIONS.values() for status in each["responses"]}
    assert all(status.isdigit() for status in said)


class Shy(Controller):
    @get("/shy", operation_id="shy", opt={"public": True, "raises": [TooMany]})
    async def shy(self) -> None: ...


def test_a_route_that_declares_one_more_has_one_more() -> None:
    document = openapi.describe(lambda: [Router(path="/", route_handlers=[Shy])], "1")
    assert refused(document["paths"]["/shy"]["get"]) == ALWAYS | {"429"}
    assert document["components"]["responses"].keys() >= {"TooMany", "Error"}
