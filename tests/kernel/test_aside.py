"""Work aside: the loop goes on, whoever falls falls alone, and nobody waits for ever."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from martech.kernel.aside import TENANTS, WAITING, Aside, start
from martech.kernel.errors import Timeout, TooMany, Unavailable
from tests.gates import Gate, pass_gate

pytestmark = pytest.mark.anyio

ACME, GLOBEX, INITECH = UUID(int=1), UUID(int=2), UUID(int=3)


class Basket(msgspec.Struct, frozen=True):
    name: str
    fruits: dict[str, int]


def count(basket: Basket, more: Mapping[str, object]) -> Basket:
    """What is put in as JSON; big numbers and odd letters too."""
    return Basket(basket.name + "\n\u2028é", {**basket.fruits, **dict.fromkeys(more, 10**30)})


def environment() -> dict[str, str]:
    return dict(os.environ)


def chatter() -> int:
    print("a library says something")  # noqa: T201
    return os.getpid()


def stumble(over: str) -> None:
    raise LookupError(over)


def fall() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
async def aside() -> AsyncIterator[Aside]:
    aside = Aside()
    yield aside
    await aside.close()


async def test_it_is_done_by_somebody_else_who_is_kept(aside: Aside) -> None:
    first, again = await aside.do(ACME, chatter), await aside.do(ACME, chatter)

    assert first != os.getpid()
    assert again == first
    assert await aside.do(ACME, count, Basket("b", {"plum": 1}), {"pear": None}) == Basket(
        "b\n\u2028é", {"plum": 1, "pear": 10**30}
    )


async def test_the_loop_goes_on_meanwhile(aside: Aside, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    working = asyncio.create_task(aside.do(ACME, pass_gate, str(gate.path)))
    await came(gate)
    assert not working.done()
    gate.open()  # nobody else would

    assert await working


async def test_who_asks_much_stands_in_nobody_elses_way(aside: Aside, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    waiting = [
        asyncio.create_task(aside.do(ACME, pass_gate, str(gate.path))) for _ in range(1 + WAITING)
    ]
    await asyncio.sleep(0)  # they stand in line
    with pytest.raises(TooMany) as refused:
        await aside.do(ACME, chatter)
    assert await aside.do(GLOBEX, chatter)
    gate.open()

    assert refused.value.retry_after
    assert all(await asyncio.gather(*waiting))
    assert await aside.do(ACME, chatter)


async def test_whose_work_is_done_stands_behind_the_others(aside: Aside, tmp_path: Path) -> None:
    """Both children are busy, one of them without end, and so would be the other one."""
    soon, never = gates(tmp_path, "soon", "never")
    first = asyncio.create_task(aside.do(ACME, pass_gate, str(soon.path)))
    await asyncio.sleep(0)  # it stands in line
    behind = [
        asyncio.create_task(aside.do(tenant, pass_gate, str(never.path)))
        for tenant in (GLOBEX, ACME)
    ]
    await asyncio.sleep(0)  # they do, too
    theirs = asyncio.create_task(aside.do(INITECH, chatter))
    await asyncio.sleep(0)  # and so does this
    soon.open()

    assert await first
    assert await theirs
    never.open()
    assert all(await asyncio.gather(*behind))


async def test_of_too_many_tenants_some_are_told_to_come_back(aside: Aside, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    waiting = [
        asyncio.create_task(aside.do(UUID(int=number), pass_gate, str(gate.path)))
        for number in range(TENANTS)
    ]
    await asyncio.sleep(0)  # they stand in line
    with pytest.raises(Unavailable) as refused:
        await aside.do(UUID(int=TENANTS), chatter)
    waiting.pop().cancel()
    await asyncio.sleep(0)  # who leaves makes room
    mine = asyncio.create_task(aside.do(UUID(int=TENANTS), chatter))
    await asyncio.sleep(0)
    gate.open()

    assert refused.value.retry_after
    assert all(await asyncio.gather(*waiting, mine))


async def test_who_is_told_to_end_ends_with_the_parent_only(aside: Aside, tmp_path: Path) -> None:
    """As a terminal and systemd tell all processes at once."""
    gate = Gate(tmp_path)
    working = asyncio.create_task(aside.do(ACME, pass_gate, str(gate.path)))
    passer = await came(gate)
    for told in (signal.SIGINT, signal.SIGTERM):
        os.kill(passer, told)
    gate.open()

    assert await working


async def test_what_never_ends_is_ended(tmp_path: Path) -> None:
    aside, gate = Aside(seconds=5), Gate(tmp_path)
    with pytest.raises(Timeout, match="5 s"):
        await aside.do(ACME, pass_gate, str(gate.path))

    assert await aside.do(ACME, chatter)
    await aside.close()


async def test_who_goes_away_leaves_nobody_working(aside: Aside, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    working = asyncio.create_task(aside.do(ACME, pass_gate, str(gate.path)))
    passer = await came(gate)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working

    assert aside.asked == 0
    assert not alive(passer)


async def test_who_falls_falls_alone(aside: Aside) -> None:
    with pytest.raises(Unavailable, match="fallen"):
        await aside.do(ACME, fall)

    child = await aside.do(ACME, chatter)
    os.kill(child, signal.SIGKILL)  # while it had nothing to do
    with pytest.raises(Unavailable, match="fallen"):
        await aside.do(ACME, chatter)
    assert await aside.do(ACME, chatter) != child


async def test_a_bug_there_is_a_bug_here(aside: Aside) -> None:
    with pytest.raises(RuntimeError, match="LookupError: a stone"):
        await aside.do(ACME, stumble, "a stone")
    assert await aside.do(ACME, chatter)


async def test_no_secret_of_ours_is_there(aside: Aside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARTECH_SECRET", "kronjuwelen")

    assert "kronjuwelen" not in (await aside.do(ACME, environment)).values()


async def test_whose_parent_is_gone_goes_too() -> None:
    child = await start()
    child.questions.close()  # as the system does when the parent is killed

    assert await child.process.wait() == 0


async def test_nobody_is_left_when_it_is_closed() -> None:
    aside = Aside()
    child = await aside.do(ACME, chatter)
    await aside.close()

    assert not alive(child)


def gates(folder: Path, *names: str) -> list[Gate]:
    for name in names:
        (folder / name).mkdir()
    return [Gate(folder / name) for name in names]


async def came(gate: Gate) -> int:
    """Who waits at the gate, as soon as somebody does."""
    while (passer := gate.passer) is None:  # noqa: ASYNC110 - another process sets no event
        await asyncio.sleep(0)
    return passer


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
