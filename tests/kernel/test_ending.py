"""How a process that serves ends: bus and jobs, and who asks, in the same time."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import httpx
import pytest

from martech.kernel.http import server
from martech.kernel.http.health import Pulse
from martech.kernel.process import Process
from martech.kernel.settings import Settings
from tests.chaos import processes
from tests.servers import free_port

pytestmark = pytest.mark.timeout(60)

Life = Callable[[Settings, Connection], object]


def lived(life: Life, drain: float) -> object:
    """What *life* says of itself, in a process of its own: signals are a main thread's."""
    context = processes.server()
    ear, mouth = context.Pipe(duplex=False)
    settings = Settings(port=free_port(), drain_seconds=drain)
    process = context.Process(target=life, args=(settings, mouth), daemon=True)
    process.start()
    mouth.close()
    try:
        return ear.recv() if ear.poll(processes.PATIENCE) else "nothing"
    finally:
        process.kill()
        process.join()
        ear.close()


async def alive(receive: Any, send: Any) -> None:
    """The lifespan of an application that has nothing to open."""
    for word in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{word}.complete"})


def ask_until_the_work_ends(settings: Settings, mouth: Connection) -> None:
    """Whoever asks is answered when the work has ended. The process is told to end while he waits;
    what he was answered is said."""
    ended = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await alive(receive, send)
            return
        os.kill(os.getpid(), signal.SIGTERM)
        said = b"ended" if await asyncio.to_thread(ended.wait, 10) else b"at work"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": said})

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    def ask() -> None:
        answer = httpx.get(f"http://127.0.0.1:{settings.port}/", timeout=30)
        mouth.send((answer.status_code, answer.text))

    asking = threading.Thread(target=ask)
    with server.listening(settings) as listener:
        server.serve(app, settings, listener, Process(), asking.start, work, Pulse())
    asking.join()


def give_back_behind_the_drain(settings: Settings, mouth: Connection) -> None:
    """Work that waits as long as it may for what does not end, and then gives it back."""
    done: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await alive(receive, send)

    async def work() -> None:
        forever = asyncio.ensure_future(asyncio.Event().wait())
        try:
            await forever
        finally:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 2 * settings.drain_seconds)
            done.append("given back")

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with server.listening(settings) as listener:
        server.serve(app, settings, listener, Process(), stop, work, Pulse())
    mouth.send(done)


def test_bus_and_jobs_are_told_as_soon_as_the_end_begins() -> None:
    """Not when the last request is through: their times would add up."""
    assert lived(ask_until_the_work_ends, drain=3) == (200, "ended")


def test_what_was_waited_for_in_vain_is_given_back_before_the_process_ends() -> None:
    assert lived(give_back_behind_the_drain, drain=0.5) == ["given back"]
