"""What the decoder refuses is said in the caller's words: the field, what is wrong, the cure."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import msgspec
import pytest
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter

from martech.kernel.errors import Invalid
from martech.kernel.http.bodies import decode
from martech.kernel.http.fields import refused_field
from martech.kernel.settings import Settings
from tests import databases
from tests.serving import Served, serve

pytestmark = pytest.mark.anyio

AN_ID, A_TIME = "01939f2e-5c3a-7b41-8f6d-2a9c4e7b1d05", "2026-11-21T08:00:00Z"

Colour = Literal["red", "green"]


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Apple(msgspec.Struct, tag_field="fruit", tag="apple"):
    size: Size | None = None


class Pear(msgspec.Struct, tag_field="fruit", tag="pear"):
    colours: list[Colour]


class Order(msgspec.Struct):
    id: UUID | None = None
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    day: date | None = None
    within: timedelta | None = None
    seal: bytes | None = None
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)] = "x"
    colour: Annotated[Colour, msgspec.Meta(description="Of the paper.")] | None = None
    fruits: dict[str, list[Apple | Pear]] = {}
    pair: tuple[int, Colour] | None = None
    prices: dict[Colour, float] = {}
    price: Decimal | None = None


@pytest.mark.parametrize(
    ("body", "field", "detail"),
    [
        (b'{"id": "7"}', "id", f"id must be a UUID, such as {AN_ID}."),
        (b'{"id": ""}', "id", f"id must be a UUID, such as {AN_ID}."),
        (
            b'{"id": 7}',
            "id",
            f"id must be a UUID or null, and a whole number was sent. Send one such as {AN_ID}.",
        ),
        (b'{"at": "soon"}', "at", f"at must be a time with offset, such as {A_TIME}."),
        (b'{"at": "2026-11-21"}', "at", f"at must be a time with offset, such as {A_TIME}."),
        (
            b'{"at": "2026-11-21T08:00:00"}',
            "at",
            f"at must be a time with offset, such as {A_TIME}.",
        ),
        (b'{"day": "21.11."}', "day", "day must be a date, such as 2026-11-21."),
        (
            b'{"within": "x"}',
            "within",
            "within must be an ISO 8601 duration, such as P7D or PT36H.",
        ),
        (b'{"seal": "%"}', "seal", "seal must be base64, such as aGVsbG8=."),
        (b'{"name": ""}', "name", "name must be a string of at least 1 character."),
        (
            b'{"name": "%s"}' % (b"x" * 1_001),
            "name",
            "name must be a string of at most 1,000 characters.",
        ),
        (
            b'{"colour": "blue"}',
            "colour",
            "colour must be one of: green, red. 'blue' was sent.",
        ),
        (
            b'{"fruits": {"mine": [{"fruit": "plum"}]}}',
            "fruits[...][0].fruit",
            "fruits[...][0].fruit must be one of: apple, pear. 'plum' was sent.",
        ),
        (
            b'{"fruits": {"mine": [{"fruit": "pear", "colours": ["red", "blue"]}]}}',
            "fruits[...][0].colours[1]",
            "fruits[...][0].colours[1] must be one of: green, red. 'blue' was sent.",
        ),
        (
            b'{"fruits": {"mine": [{"fruit": "apple", "size": "m"}]}}',
            "fruits[...][0].size",
            "fruits[...][0].size must be one of: s, l. 'm' was sent.",
        ),
        (
            b'{"pair": [1, "blue"]}',
            "pair[1]",
            "pair[1] must be one of: green, red. 'blue' was sent.",
        ),
        (
            b'{"prices": {"blue": 1}}',
            "prices",
            "A name in prices must be one of: green, red. 'blue' was sent.",
        ),
        (b'{"price": "x"}', "price", "price must be a decimal number, such as 12.50."),
        (
            b'{"prices": {"red": 1e999}}',
            "prices[...]",
            "prices[...] must be a smaller number; this one is out of range.",
        ),
    ],
)
def test_a_body_is_refused_with_the_field_and_the_cure(
    body: bytes, field: str, detail: str
) -> None:
    with pytest.raises(Invalid) as refused:
        decode(body, Order)

    assert (refused.value.field, refused.value.detail) == (field, detail)


def test_what_was_sent_is_not_sent_back_at_length() -> None:
    with pytest.raises(Invalid) as refused:
        decode(b'{"colour": "%s"}' % (b"x" * 100_000), Order)

    assert len(refused.value.detail) < 200


def test_where_nobody_knows_what_may_be_chosen_the_documents_do() -> None:
    refused = refused_field("Invalid enum value 'blue' - at `$.colour`")

    assert refused.detail == "colour cannot be 'blue'. /docs lists what it may be."


class Shelf(Controller):
    @get("/shelf/{row:int}", opt={"public": True}, sync_to_thread=False)
    def shelf(
        self,
        row: FromPath[int],
        author: FromQuery[str],
        book: FromQuery[UUID | None] = None,
        colour: FromQuery[Colour] = "red",
        since: Annotated[datetime | None, QueryParameter(name="from")] = None,
    ) -> None:
        return None


@pytest.fixture
def url(tmp_path: Path) -> str:
    """None of this reaches a database."""
    return databases.fresh("sqlite", databases.SAMPLE, tmp_path)


@pytest.fixture
async def served(url: str) -> AsyncIterator[Served]:
    shop, *others = databases.SAMPLE
    shelved = replace(shop, controllers=[Shelf])
    async with serve([shelved, *others], Settings(database_url=url)) as served:
        yield served


@pytest.mark.parametrize(
    ("query", "field", "detail"),
    [
        ("", "author", "author is missing. It is required: send it."),
        ("author=a&book=7", "book", f"book must be a UUID, such as {AN_ID}."),
        ("author=a&colour=blue", "colour", "colour must be one of: green, red. 'blue' was sent."),
        ("author=a&from=soon", "from", f"from must be a time with offset, such as {A_TIME}."),
    ],
)
async def test_so_is_a_parameter(served: Served, query: str, field: str, detail: str) -> None:
    refused = (await served.client.get(f"/shop/v1/shelf/1?{query}")).json()

    assert (refused["status"], refused["field"], refused["detail"]) == (422, field, detail)
