"""One process, two loops: HTTP on the main thread's, bus and jobs on another, in a thread.

    SIGTERM ─┬─▶ no new connections ─▶ who has connected is heard, and requests are finished
             └─▶ the batch and the jobs are finished ─▶ what is not is given back

so that a decision takes its milliseconds while a backlog is digested beside it. Both ends begin
together and have MARTECH_DRAIN_SECONDS; `BEHIND` them the process is gone.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from math import inf
from time import monotonic

import uvicorn
import uvloop
from litestar.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from martech.kernel.http.health import Pulse
from martech.kernel.process import Process
from martech.kernel.settings import Settings, SettingsError

log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]

BEAT = 1.0  # seconds
BACKLOG = 1024  # connections that wait to be accepted
TURN = 0.001
"""Seconds for which a busy thread may keep the interpreter while the other one waits for it.
(Beside a saturated thread a POST took 7 ms, p99 28, at Python's own 5 ms; 2 and 8 at this.)"""

LOOK, LOOKS = 0.01, 200
"""Seconds between looks whether all who have connected have begun to ask, when the end begins; and
how often it is looked: who says nothing is not waited for."""

BEHIND = 8.0
"""Seconds behind the drain for what comes then: leases are given back, databases closed. (Of these
a request loses two at most to who connects last, and jobs three to a broker that is away.)"""

GARBAGE = 20_000  # new objects between collections: a batch of the bus makes thousands at once
STOPPING = (signal.SIGTERM, signal.SIGINT)


class Companion:
    """Does *work* on an event loop of its own until it is stopped; work that ends is a failure."""

    def __init__(self, work: Work, pulse: Pulse, drain: float, ended: Callable[[], None]) -> None:
        """Told to stop, *work* takes *drain* seconds for what it has begun, and a little more."""
        self._work = work
        self._patience = drain + BEHIND
        self._until = inf
        self._pulse = pulse
        self._ended = ended
        self._loop = uvloop.new_event_loop()
        self._enough = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="bus and jobs", daemon=True)
        self.failed = False

    def start(self) -> None:
        sys.setswitchinterval(TURN)
        self._thread.start()

    def stop(self) -> None:
        """Have it finish what it has begun, from now on."""
        if self._until < inf:
            return
        self._until = monotonic() + self._patience
        self._pulse.stopping = True
        with suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._enough.set)

    def end(self) -> None:
        """Wait until it has finished, as long as there is time since it was told to."""
        self.stop()
        self._thread.join(max(0.0, self._until - monotonic()))
        if self._thread.is_alive():
            log.warning(
                "bus and jobs did not finish in %.0f s; leases will run out", self._patience
            )

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(work_until(self._work, self._enough, self._pulse))
        except Exception:
            log.exception("bus and jobs have ended; the process ends with them")
            self.failed = True
        finally:
            self._ended()


async def work_until(work: Work, stop: asyncio.Event, pulse: Pulse | None = None) -> None:
    """Do *work* until *stop* is set, then let it finish what it has begun."""
    working = asyncio.ensure_future(work())
    stopping = asyncio.ensure_future(stop.wait())
    beating = asyncio.ensure_future(_beat(pulse)) if pulse else None
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    working.cancel()
    stopping.cancel()
    if beating:
        beating.cancel()
    try:
        await working
    except asyncio.CancelledError:
        return
    raise RuntimeError("Work that never ends has ended.")


async def _beat(pulse: Pulse) -> None:
    while True:
        pulse.beat()
        await asyncio.sleep(BEAT)


def serve(
    app: ASGIApp,
    settings: Settings,
    listener: socket.socket,
    process: Process,
    started: Callable[[], None],
    work: Work | None,
    pulse: Pulse,
) -> int:
    """Serve *app* until SIGTERM or SIGINT, with *work* beside it; return the exit code."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
        timeout_keep_alive=75,
        backlog=BACKLOG,
    )
    server = _Server(config, process, started, listener)
    companion = Companion(work, pulse, settings.drain_seconds, server.leave) if work else None
    for number in STOPPING:  # uvicorn raises them again when it is done, and we are not
        signal.signal(number, lambda *_: None)
    if companion:
        server.beside = companion
        companion.start()
    _settle_memory()
    try:
        server.run(sockets=[listener])
    except SystemExit:  # uvicorn could not start, and has said why
        return 1
    finally:
        if companion:
            companion.end()
        gc.unfreeze()  # libraries look at the exit whether all that is theirs is given back
    return int(companion.failed) if companion else 0


@contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """The socket that is served, taken before anything else begins. Raises `SettingsError` when
    it is another's."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
            listener.listen(BACKLOG)
        except OSError as exc:
            raise SettingsError(
                f"Nobody can be served on {settings.host}:{settings.port}: {exc.strerror}. Stop "
                "what is there, or set MARTECH_PORT or MARTECH_HOST."
            ) from None
        yield listener


def _settle_memory() -> None:
    """What is loaded by now stays: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 20, 20)


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        process: Process,
        started: Callable[[], None],
        listener: socket.socket,
    ) -> None:
        super().__init__(config)
        self._process = process
        self._say_started = started
        self._door = listener.dup()  # open until we close it, whatever uvicorn does with its own
        self.beside: Companion | None = None
        """Whoever is to stop when we do."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.beside:
            self.beside.stop()
        self._process.end()  # streams would hold their connections until the grace is over
        await self._last_call()
        await super().shutdown(sockets)

    async def _last_call(self) -> None:
        """Close the door, and hear whoever is inside. (Closing alone would hang up on those who
        wait to be accepted, and uvicorn on those who have not begun to ask: of 3,462 requests
        during two restarts, 8.)"""
        for server in self.servers:
            server.close()
        made = partial(
            HttpToolsProtocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        loop = asyncio.get_running_loop()
        for connection in self._last_in():
            await loop.connect_accepted_socket(made, connection)
        for _ in range(LOOKS):
            if not any(map(_is_silent, self.server_state.connections)):
                return
            await asyncio.sleep(LOOK)

    def _last_in(self) -> list[socket.socket]:
        """Those who wait to be accepted; nobody can come after them."""
        waiting: list[socket.socket] = []
        self._door.setblocking(False)
        with self._door, suppress(BlockingIOError):
            while True:
                waiting.append(self._door.accept()[0])
        return waiting

    def leave(self) -> None:
        self.should_exit = True


def _is_silent(connection: object) -> bool:
    return isinstance(connection, HttpToolsProtocol) and connection.cycle is None


def work_alone(work: Work) -> int:
    """Do *work* in this process until SIGTERM or SIGINT; return the exit code."""

    async def main() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in STOPPING:
            loop.add_signal_handler(number, stop.set)
        await work_until(work, stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    return 0
