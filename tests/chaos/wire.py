"""A wire to a server that can be cut, and mended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

WRONG = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 5\r\nconnection: close\r\n\r\nwrong"


class Wire:
    """Passes bytes on to *host*:*port*. While it is cut, connections are reset and refused; while
    it is slow, answers take so many seconds more; while it is wrong, every request is answered by
    an error that nobody over there has said."""

    def __init__(self, host: str, port: int) -> None:
        self._there = host, port
        self._open = set[asyncio.StreamWriter]()
        self._whole = True
        self._wrong = False
        self._slow = 0.0
        self.port = 0
        """Where it begins, once it does (`before`)."""

        self.connections = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.transport.abort()
            return
        self.connections += 1
        if self._wrong:
            await self._answer(reader, writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._there)
        except OSError:  # nobody is there, and whoever called is told so in the same way
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        with suppress(OSError):
            await asyncio.gather(
                self._pass_on(reader, far_writer), self._pass_back(far_reader, writer)
            )
        self._open -= {writer, far_writer}
        for end in (writer, far_writer):
            end.transport.abort()

    def cut(self) -> None:
        self._whole = False
        self._hang_up()

    def slow(self, seconds: float) -> None:
        self._slow = seconds

    def wrong(self) -> None:
        self._wrong = True
        self._hang_up()

    def mend(self) -> None:
        self._whole, self._wrong, self._slow = True, False, 0.0

    def _hang_up(self) -> None:
        for end in list(self._open):
            end.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
        writer.close()

    async def _pass_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(65536):
            await asyncio.sleep(self._slow)
            writer.write(some)
            await writer.drain()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(WRONG)
            await writer.drain()
        writer.close()


class Leaning(Wire):
    """The defect: whoever stands behind it first asks somebody else, and cannot do without."""

    def __init__(self, host: str, port: int, on: Wire) -> None:
        super().__init__(host, port)
        self._on = on

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(65536):
            answer, asked = await asyncio.open_connection("127.0.0.1", self._on.port)
            try:
                asked.write(b"GET /health/live HTTP/1.1\r\nhost: there\r\n\r\n")
                if b" 200 " not in await answer.readline():
                    raise ConnectionError
            finally:
                asked.close()
            writer.write(some)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def before(wire: Wire) -> AsyncIterator[int]:
    """The port from which *wire* begins."""
    server = await asyncio.start_server(wire.connected, "127.0.0.1", 0)
    try:
        wire.port = server.sockets[0].getsockname()[1]
        yield wire.port
    finally:
        wire.cut()
        server.close()


@asynccontextmanager
async def wired(url: str) -> AsyncIterator[tuple[str, Wire]]:
    """*url* by way of a wire of its own."""
    parts = urlsplit(url)
    wire = Wire(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(wire.connected, "127.0.0.1", 0)
    user, _, _ = parts.netloc.rpartition("@")
    netloc = f"{user}@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield urlunsplit(parts._replace(netloc=netloc)), wire
    finally:
        wire.cut()
        server.close()
