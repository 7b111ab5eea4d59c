"""Hosts behind real sockets, and strangers who answer in their place."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from msgspec import structs

from martech.kernel.auth import Follower, Keyring
from martech.kernel.host import Host
from martech.kernel.http.application import application
from martech.kernel.module import Module
from martech.kernel.settings import Settings

SECRET = "the peers of a test, and nobody else"


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # those are the tests' own

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serving.set()


@asynccontextmanager
async def served(
    modules: Sequence[Module], settings: Settings, port: int = 0
) -> AsyncIterator[Host]:
    """A host of *modules*; its settings say at which port."""
    with _listener(port) as listener:
        here = listener.getsockname()[1]
        host = Host(modules, structs.replace(settings, port=here))
        app = application(host, Keyring(), Follower(Keyring(), None, host.clock))
        server = _Server(uvicorn.Config(app, lifespan="on", log_config=None, access_log=False))
        task = asyncio.create_task(server.serve([listener]))
        ready = asyncio.create_task(server.serving.wait())
        await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
        try:
            yield host
        finally:
            ready.cancel()
            server.should_exit = True
            await task


def _listener(port: int) -> socket.socket:
    listener = socket.create_server(("127.0.0.1", port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as uvloop has it
    return listener


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def stranger(talk: Talk) -> AsyncIterator[str]:
    """The URL of somebody who is no host of ours, and does *talk* on every connection."""
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
