"""What two event loops of one process share: turns to write, and wake-up calls."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from martech.kernel.process import Process, Signals, Turn

pytestmark = pytest.mark.anyio

T = TypeVar("T")


class Thread:
    """Another event loop, in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def begin(self, work: Coroutine[Any, Any, T]) -> "asyncio.Future[T]":
        """Start *work* there, run it to its first wait, and hand it over to this loop."""
        begun = asyncio.run_coroutine_threadsafe(work, self.loop)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop).result(10)
        return asyncio.wrap_future(begun)

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def thread() -> Iterator[Thread]:
    thread = Thread()
    yield thread
    thread.end()


async def take(turn: Turn, name: str, taken: list[str]) -> None:
    async with turn.taken():
        taken.append(name)


async def begin(work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Start *work* here and run it to its first wait."""
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    return task


async def test_a_turn_is_first_come_first_served_across_two_loops(thread: Thread) -> None:
    turn, taken = Turn(), list[str]()
    waiting: list[asyncio.Future[None]] = []
    async with turn.taken():
        for number in range(10):
            waiting.append(thread.begin(take(turn, f"there {number}", taken)))
            waiting.append(await begin(take(turn, f"here {number}", taken)))
    await asyncio.gather(*waiting)
    assert taken == [f"{where} {number}" for number in range(10) for where in ("there", "here")]


async def test_only_one_has_the_turn(thread: Thread) -> None:
    turn, inside, most = Turn(), 0, 0

    async def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            async with turn.taken():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

    there = [asyncio.run_coroutine_threadsafe(work(), thread.loop) for _ in range(4)]
    await asyncio.gather(*(work() for _ in range(4)), *map(asyncio.wrap_future, there))
    assert (most, inside) == (1, 0)


async def test_who_gives_up_waiting_leaves_the_queue(thread: Thread) -> None:
    turn, taken = Turn(), list[str]()
    async with turn.taken():
        leaves = await begin(take(turn, "leaves", taken))
        stays = thread.begin(take(turn, "stays", taken))
        leaves.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaves
    await stays
    assert taken == ["stays"]


async def test_a_turn_given_to_somebody_who_is_leaving_goes_to_the_next(thread: Thread) -> None:
    turn, taken = Turn(), list[str]()
    async with turn.taken():
        leaves = await begin(take(turn, "leaves", taken))
        stays = thread.begin(take(turn, "stays", taken))
    leaves.cancel()  # it has been given the turn in this very moment
    with pytest.raises(asyncio.CancelledError):
        await leaves
    await stays
    assert taken == ["stays"]
    await take(turn, "later", taken)


async def test_a_failure_passes_the_turn_on() -> None:
    turn, taken = Turn(), list[str]()
    with pytest.raises(ZeroDivisionError):
        async with turn.taken():
            raise ZeroDivisionError
    await take(turn, "next", taken)
    assert taken == ["next"]


async def test_a_loop_that_has_ended_is_passed_over() -> None:
    turn, taken, gone = Turn(), list[str](), Thread()
    async with turn.taken():
        gone.begin(take(turn, "gone", taken)).cancel()
        another = Thread()
        lost = asyncio.run_coroutine_threadsafe(take(turn, "lost", taken), another.loop)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), another.loop).result(10)
        another.end()
        waits = await begin(take(turn, "waits", taken))
    await waits
    gone.end()
    assert taken == ["waits"]
    assert not lost.done()


async def test_news_wakes_whoever_listens_on_whichever_loop(thread: Thread) -> None:
    signals, listening = Signals(), asyncio.Event()
    here = asyncio.get_running_loop()

    async def listen() -> str:
        with signals.listening("shop") as news:
            here.call_soon_threadsafe(listening.set)
            await news.wait()
        return "woken"

    there = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(listen(), thread.loop))
    with signals.listening("ledger") as other, signals.listening("shop") as news:
        await listening.wait()
        signals.wake("shop")
        assert await there == "woken"
        await news.wait()
        assert not other.is_set()


async def test_who_listens_no_longer_is_not_woken() -> None:
    signals = Signals()
    with signals.listening("shop") as news:
        pass
    signals.wake("shop")
    await asyncio.sleep(0)
    assert not news.is_set()


async def test_a_listener_whose_loop_has_ended_is_no_obstacle(thread: Thread) -> None:
    signals, gone = Signals(), Thread()

    async def listen() -> None:
        with signals.listening("shop") as news:
            await news.wait()

    lost = asyncio.run_coroutine_threadsafe(listen(), gone.loop)
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), gone.loop).result(10)
    gone.end()
    with signals.listening("shop") as news:
        signals.wake("shop")
        await news.wait()
    assert not lost.done()


async def test_hosts_of_one_process_queue_for_the_same_file() -> None:
    process = Process()
    assert process.turn("shop.db") is process.turn("shop.db")
    assert process.turn("shop.db") is not process.turn("ledger.db")
