"""A module that another host serves is asked as if it were here. On both databases."""

from typing import Any
from uuid import uuid4

import pytest

from martech.kernel import errors
from martech.kernel.asking import AskedTooLate, due_within
from martech.kernel.auth import Principal
from martech.kernel.errors import Error, Invalid, Timeout
from martech.kernel.host import Host
from martech.kernel.outbox import Origin
from martech.kernel.remote.wire import Asked
from tests.kernel.remote.oracle.contract import Asker, Oracle
from tests.kernel.remote.oracle.module import NotAWord

pytestmark = pytest.mark.anyio

TENANT, OTHER = uuid4(), uuid4()
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@pytest.fixture
def oracle(here: Host) -> Any:
    return here.port(Oracle, TENANT)


async def local(home: Host, method: str, *args: Any, **named: Any) -> Any:
    """What the oracle answers to its own host."""
    return await getattr(home.port(Oracle, TENANT), method)(*args, **named)


async def test_it_answers_as_it_would_at_home(oracle: Any, home: Host) -> None:
    assert await oracle.say("delphi") == 1
    assert await oracle.say(word="dodona") == 2
    assert await oracle.words() == ["delphi", "dodona"]
    assert await oracle.words(after="delphi") == ["dodona"]
    assert await oracle.words(most=1) == await local(home, "words", most=1) == ["delphi"]


async def test_each_tenant_is_alone_there_too(here: Host, oracle: Any) -> None:
    await oracle.say("delphi")
    assert await here.port(Oracle, OTHER).words() == []


async def test_whoever_asks_is_known_there(here: Host) -> None:
    person = Principal(
        tenant=TENANT, key=uuid4(), kind="user", scopes=frozenset({"a:b"}), user=uuid4()
    )
    origin = Origin(uuid4(), uuid4(), TRACE)
    asker = await here.port(Oracle, TENANT, Asked(TENANT, person, origin)).who()
    assert asker == Asker(
        tenant=TENANT,
        principal=str(person),
        correlation=origin.correlation,
        causation=origin.causation,
        trace=TRACE,
        writes=False,
    )


async def test_nobody_in_particular_may_ask_too(oracle: Any) -> None:
    asker = await oracle.who()
    assert (asker.principal, asker.correlation, asker.causation) == (None, None, None)


async def test_what_is_told_there_came_of_whoever_asked_here(here: Host, home: Host) -> None:
    origin = Origin(uuid4(), uuid4(), TRACE)
    await here.port(Oracle, TENANT, Asked(TENANT, None, origin)).say("delphi")
    (told,) = await home.feed("oracle").read(after=0, types=["oracle.word_said.v1"])
    assert (told.tenant, told.correlationid, told.causationid) == (TENANT, *origin[:2])
    assert told.traceparent == TRACE


KINDS = [cls for cls in errors.every() if cls.__module__ == errors.__name__]


@pytest.mark.parametrize("kind_of_error", KINDS, ids=lambda cls: cls.slug())
async def test_what_it_raises_is_raised_here(kind_of_error: type[Error], here: Host) -> None:
    for field, retry_after in ((None, None), ("traits.email", 7)):
        with pytest.raises(kind_of_error) as raised:
            await here.port(Oracle, TENANT).refuse(
                kind_of_error.slug(), "Ask – another.", field=field, retry_after=retry_after
            )
        error = raised.value
        assert type(error) is kind_of_error
        assert (error.detail, error.field) == ("Ask – another.", field)
        assert error.retry_after == retry_after


async def test_a_kind_of_its_own_is_what_it_is_a_kind_of(oracle: Any) -> None:
    with pytest.raises(Invalid, match="No") as raised:
        await oracle.refuse(NotAWord.slug(), "No.", field="word")
    assert (type(raised.value), raised.value.field) == (Invalid, "word")


async def test_a_bug_of_its_own_is_an_error_and_no_outage(oracle: Any) -> None:
    with pytest.raises(Error, match=r"oracle.stumble failed; its host's log says why") as raised:
        await oracle.stumble()
    assert type(raised.value) is Error


async def test_what_it_cannot_be_asked_is_no_attribute(oracle: Any) -> None:
    with pytest.raises(AttributeError, match="oracle cannot be asked future"):
        oracle.future  # noqa: B018
    with pytest.raises(TypeError, match="missing a required argument: 'word'"):
        await oracle.say()


async def test_it_is_not_asked_from_within_a_transaction(here: Host, home: Host) -> None:
    async with home.databases["oracle"].transaction(TENANT) as tx:
        port = here.port(Oracle, TENANT, tx)
        await port.who()
        await tx.unit.enter(TENANT)
        with pytest.raises(AskedTooLate, match=r"oracle.who was asked inside a transaction"):
            await port.who()


async def test_a_question_that_is_too_late_is_not_asked(oracle: Any) -> None:
    with due_within(0), pytest.raises(Timeout, match="no time left"):
        await oracle.say("delphi")
    assert await oracle.words() == []


async def test_what_is_not_answered_in_time_is_broken_off_there(oracle: Any, home: Host) -> None:
    with due_within(0.2), pytest.raises(Timeout):
        await oracle.say_and_wait("delphi")
    assert await oracle.say("dodona") == 1, "or it would hold the turn to write, or have written"
