"""Whatever a contract lets modules ask and answer goes over the wire and comes out the same."""

from datetime import UTC, datetime
from decimal import Decimal
from inspect import isfunction
from typing import Any, Protocol
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from martech.kernel.files import face, faces
from martech.kernel.messages import View, reads
from martech.kernel.remote import wire
from martech.kernel.remote.wire import Question
from tests.kernel.remote.values import values

EVERY = [(name, question) for name in faces() for question in wire.questions(face(name)).values()]


@pytest.mark.parametrize("question", [q for _, q in EVERY], ids=[f"{n}.{q.name}" for n, q in EVERY])
@settings(max_examples=25)
@given(data=st.data())
def test_a_question_and_its_answer_arrive_as_they_were(question: Question, data: Any) -> None:
    asked = {p.name: data.draw(values(p.annotation), p.name) for p in question.parameters}
    assert question.decode(question.encode((), asked)) == asked
    answer = data.draw(values(question.signature.return_annotation), "answer")
    assert question.answers.decode(msgspec.json.encode(answer)) == answer


def test_every_question_of_a_port_can_be_asked() -> None:
    """What is no coroutine, or streams, would be a port's method that only its own host knows."""
    for name in faces():
        methods = {key for key, said in vars(face(name)).items() if isfunction(said)}
        asked = {key for key in methods if not key.startswith("_")}
        assert set(wire.questions(face(name))) == asked


class Thing(View, frozen=True):
    raw: msgspec.Raw
    at: datetime
    price: Decimal
    who: UUID | None


class Odd(Protocol):
    @reads
    async def find(self, key: UUID) -> Thing | None: ...

    async def keep(self, thing: Thing, tags: frozenset[str] = frozenset()) -> tuple[int, str]: ...


THING = Thing(
    raw=msgspec.Raw(b'{"b": 1,  "a": [2]}'),
    at=datetime(2026, 11, 21, 8, 0, 0, 123456, tzinfo=UTC),
    price=Decimal("12.50"),
    who=None,
)


def test_what_no_contract_of_ours_names_yet_arrives_too() -> None:
    keep = wire.questions(Odd)["keep"]
    asked = keep.decode(keep.encode((THING,), {"tags": {"a", "b"}}))
    assert asked == {"thing": THING, "tags": frozenset({"a", "b"})}
    assert keep.decode(keep.encode((THING,), {}))["tags"] == frozenset()
    assert keep.answers.decode(b'[7,"x"]') == (7, "x")
    assert wire.questions(Odd)["find"].answers.decode(b"null") is None
