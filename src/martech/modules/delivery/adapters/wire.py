"""One TCP connection that carries SMTP: lines out, replies in, a time limit on every wait."""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from ssl import SSLContext
from typing import NamedTuple

LONGEST_LINE = 8192
LINES = 128
UNASKED = 64
"""What a server may say at most: octets of a line, lines of a reply, replies ahead of questions."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LINE = re.compile(rb"(\d{3})(?:([ -])(.*))?", re.DOTALL)


class Lost(Exception):
    """The connection is of no use any more; the sentence says why."""


class Reply(NamedTuple):
    code: int
    lines: list[str]

    @property
    def text(self) -> str:
        return " ".join(self.lines)[:500]

    @property
    def shown(self) -> str:
        """As it came, such as ``550 5.1.1 no such user``."""
        return f"{self.code} {self.text}"


class Wire(asyncio.Protocol):
    """Give it to `create_connection`, and give it what that returns; it ends by `close`, or by
    becoming lost."""

    def __init__(self) -> None:
        self.lost: str | None = None
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._lines: list[str] = []
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False

    def attach(self, transport: asyncio.Transport) -> None:
        """Not `connection_made`, which is given something that uvloop calls no `Transport`."""
        self._transport = transport
        if self.lost is not None:
            transport.abort()
        transport.set_write_buffer_limits(high=1, low=0)  # at 0, TLS pauses when it is empty

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None  # Python 3.11.2 stumbles over the abortion of one that has ended
        self._lose(f"the connection broke ({exc})" if exc else "the server hung up")

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._wake()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._read(line)
        if len(self._rest) > LONGEST_LINE:
            self._lose("the server's line has no end")
        self._wake()

    def write(self, data: bytes) -> None:
        """Raises `Lost` when it is known that nothing can be sent."""
        if self.lost is not None or self._transport is None:
            raise Lost(self.lost or "there is no connection")
        self._transport.write(data)

    async def flush(self, seconds: float) -> None:
        """Return when all that was written has been handed to the system. Raises `Lost`."""
        await self._until(lambda: not self._paused, seconds)

    async def reply(self, seconds: float) -> Reply:
        """The next reply. Raises `Lost` when there will be none, or not in time."""
        await self._until(lambda: bool(self._replies), seconds)
        return self._replies.popleft()

    async def secure(self, context: SSLContext, host: str, seconds: float) -> None:
        """Begin TLS. Raises `Lost`."""
        if self._rest or self._lines or self._replies or self._transport is None:
            # said before the encryption began: by whom, nobody knows (CVE-2011-0411)
            raise self._lose("the server said more than it should before TLS")
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(
                self._transport,
                self,
                context,
                server_hostname=host,
                ssl_handshake_timeout=seconds,
            )
        except OSError as exc:  # ssl.SSLError is one, and so is a handshake that took too long
            raise self._lose(f"no TLS: {exc}") from None
        if secured is None:
            raise self._lose("no TLS: the server hung up")
        self.attach(secured)

    def close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    def abort(self, reason: str) -> Lost:
        """Drop the connection; what was written and not yet sent is thrown away."""
        return self._lose(reason)

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not done():
                    if self.lost is not None:
                        raise Lost(self.lost)
                    self._waiter = asyncio.get_running_loop().create_future()
                    await self._waiter
        except TimeoutError:
            raise self._lose(f"the server said nothing for {seconds:g} s") from None

    def _read(self, raw: bytes) -> None:
        found = _LINE.fullmatch(raw.rstrip(b"\r"))
        if found is None or len(raw) > LONGEST_LINE or len(self._lines) >= LINES:
            self._lose("the server speaks no SMTP")
            return
        said = (found[3] or b"").decode("utf-8", "replace")
        self._lines.append(_CONTROL.sub("?", said))  # PostgreSQL keeps no NUL, and logs no controls
        if found[2] == b"-":
            return
        self._replies.append(Reply(int(found[1]), self._lines))
        self._lines = []
        if len(self._replies) > UNASKED:
            self._lose("the server says more than it was asked")

    def _lose(self, reason: str) -> Lost:
        if self.lost is None:
            self.lost = reason
            if self._transport is not None:
                self._transport.abort()
        self._wake()
        return Lost(self.lost)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
