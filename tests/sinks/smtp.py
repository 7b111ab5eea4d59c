"""An SMTP server that notes each message it accepts, before it says so, and misbehaves on demand.

    python -m tests.sinks.smtp --port 2525 --log mails.jsonl --delay 5-60 --fault rcpt:550:no-*@*

One line of JSON a message: ``{"time", "from", "to": [...], "data"}``; *data* is the message as it
came (dots unstuffed), a character a byte (latin-1). The line is in the file before the `250` is
sent: what the log has not, was not accepted. The first line printed is ``listening on HOST:PORT``.
"""

import argparse
import asyncio
import base64
import re
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import BinaryIO

import msgspec

from tests.sinks.faults import Faults
from tests.sinks.manners import Manners

END = re.compile(rb"\r\n\.\r\n")
LENIENT_END = re.compile(rb"(?:\r\n|\n|\r)\.(?:\r\n|\n|\r)")
LINE = re.compile(rb"\r\n|\n")
LENIENT_LINE = re.compile(rb"\r\n|\n|\r")
LENIENT_STUFFED = re.compile(rb"(?:\r\n|\n|\r)\.")
REPLIES = {"5": "no", "4": "later", "2": "ok", "3": "go on", "1": "wait"}


class Mail(msgspec.Struct, rename={"sender": "from"}):
    """One accepted message."""

    time: datetime
    sender: str
    to: list[str]
    data: str

    @property
    def bytes(self) -> bytes:
        return self.data.encode("latin-1")


class Dropped(Exception):
    """The conversation is over."""


@dataclass
class Envelope:
    sender: str
    to: list[str] = field(default_factory=list)


class Sink:
    """The server. What it accepted is in `mails`, and in the log if there is one."""

    def __init__(
        self, *faults: str, log: Path | None = None, manners: Manners | None = None, seed: int = 1
    ) -> None:
        self.manners = manners or Manners()
        self.faults = Faults(faults, seed)
        self.dice = Random(seed)
        self.mails: list[Mail] = []
        self.keep = log is None  # a log is read from its file; nothing piles up here
        self.accepted = 0
        self.connections = 0
        self.open = set[asyncio.Task[None]]()
        self.commands: list[str] = []
        self.whisper = b""
        """What somebody in between adds before TLS begins."""

        self.news = asyncio.Event()
        self._log: BinaryIO | None = log.open("ab", buffering=0) if log else None
        self._server: asyncio.Server | None = None
        self.host, self.port = "127.0.0.1", 0

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        context = self.manners.tls if self.manners.wrapped else None
        self._server = await asyncio.start_server(self._serve, host, port, ssl=context)
        self.host, self.port = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Refuse new connections, and break those that are open."""
        if self._server is not None:
            self._server.close()
        for task in list(self.open):
            task.cancel()
        await asyncio.gather(*self.open, return_exceptions=True)

    def note(self, envelope: Envelope, data: bytes) -> None:
        """It is accepted from here on."""
        mail = Mail(datetime.now(UTC), envelope.sender, envelope.to, data.decode("latin-1"))
        if self._log is not None:
            self._log.write(msgspec.json.encode(mail) + b"\n")
        if self.keep:
            self.mails.append(mail)
        self.accepted += 1
        self.news.set()

    async def heard(self, command: str) -> None:
        """Return once a command beginning like this came in."""
        while not any(said.startswith(command) for said in self.commands):
            self.news.clear()
            await self.news.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        self.connections += 1
        try:
            await Conversation(self, reader, writer).hold()
        except (Dropped, ConnectionError, ssl.SSLError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self.open.discard(task)
            writer.close()


class Conversation:
    """One connection."""

    def __init__(
        self, sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.sink = sink
        self.manners = sink.manners
        self.reader = reader
        self.writer = writer
        self.buffer = b""
        self.unsaid = b""
        self.envelope: Envelope | None = None
        self.secure = sink.manners.wrapped
        self.known = not sink.manners.user

    async def hold(self) -> None:
        if await self._fault("greeting"):
            raise Dropped
        self._say("220 sink.test ESMTP")
        while True:
            line = await self._line()
            self.sink.commands.append(line.decode("latin-1"))
            self.sink.news.set()
            word, _, rest = line.decode("utf-8", "replace").partition(" ")
            answer = getattr(self, f"_{word.lower()}", None)
            if answer is None or word.lower() not in WORDS:
                self._say("502 5.5.1 not known here")
            else:
                await answer(rest)

    async def _ehlo(self, rest: str) -> None:
        if await self._fault("ehlo"):
            return
        offers = ["sink.test", "8BITMIME", "SIZE 52428800", "ENHANCEDSTATUSCODES"]
        offers += ["PIPELINING"] * self.manners.pipelining
        offers += ["SMTPUTF8"] * self.manners.smtputf8
        offers += ["STARTTLS"] * (self.manners.tls is not None and not self.secure)
        offers += [f"AUTH {self.manners.mechanisms}"] * bool(self.manners.user)
        for offer in offers[:-1]:
            self._say(f"250-{offer}")
        self._say(f"250 {offers[-1]}")

    _helo = _ehlo

    async def _starttls(self, rest: str) -> None:
        if self.manners.tls is None or await self._fault("starttls"):
            return
        self._say("220 2.0.0 go on")
        self._speak()
        self.writer.write(self.sink.whisper)
        await self.writer.drain()
        self.buffer = b""
        await self.writer.start_tls(self.manners.tls)
        self.secure = True

    async def _auth(self, rest: str) -> None:
        if await self._fault("auth"):
            return
        kind, _, initial = rest.partition(" ")
        if kind.upper() == "PLAIN":
            said = base64.b64decode(initial or await self._ask("334 ")).decode().split("\0")[1:]
        else:
            first = initial or await self._ask("334 VXNlcm5hbWU6")
            second = await self._ask("334 UGFzc3dvcmQ6")
            said = [base64.b64decode(each).decode() for each in (first, second)]
        self.known = said == [self.manners.user, self.manners.password]
        self._say("235 2.7.0 welcome" if self.known else "535 5.7.8 not you")

    async def _ask(self, prompt: str) -> str:
        self._say(prompt)
        return (await self._line()).decode()

    async def _mail(self, rest: str) -> None:
        if not self.known:
            self._say("530 5.7.0 who are you")
        elif self.envelope is not None:
            self._say("503 5.5.1 nested MAIL")
        elif not await self._fault("mail"):
            self.envelope = Envelope(_address(rest))
            self._say("250 2.1.0 ok")

    async def _rcpt(self, rest: str) -> None:
        address = _address(rest)
        if self.envelope is None:
            self._say("503 5.5.1 MAIL first")
        elif not await self._fault("rcpt", address):
            self.envelope.to.append(address)
            self._say("250 2.1.5 ok")

    async def _data(self, rest: str) -> None:
        if self.envelope is None or not self.envelope.to:
            self._say("554 5.5.1 no valid recipients")
            return
        address = self.envelope.to[0]
        if await self._fault("data", address):
            return
        self._say("354 go on")
        data = await self._body(address)
        envelope, self.envelope = self.envelope, None
        if await self._fault("end", address):
            return
        self.sink.note(envelope, data)
        low, high = self.manners.delay
        if high:
            self._speak()
            await self.writer.drain()
            await asyncio.sleep(self.sink.dice.uniform(low, high) / 1000)
        if not await self._fault("accepted", address):
            self._say("250 2.0.0 taken")

    async def _body(self, address: str) -> bytes:
        """Up to the dot on a line of its own; RFC 5321 4.5.2."""
        action = self.sink.faults.at("body", address)
        data = b"\r\n"  # what ended the line of DATA may begin the end
        end = LENIENT_END if self.manners.lenient else END
        while (found := end.search(data + self.buffer, max(0, len(data) - 5))) is None:
            data, self.buffer = data + self.buffer, b""
            if action is not None and len(data) > 2:
                await self._do(action)
            await self._more()
        whole = data + self.buffer
        if action is not None:
            await self._do(action)
        self.buffer = whole[found.end() :]
        body = whole[: found.start()] + b"\r\n" if found.start() else b"\r\n"
        if self.manners.lenient:
            return LENIENT_STUFFED.sub(lambda dot: dot[0][:-1], body)[2:]
        return body.replace(b"\r\n.", b"\r\n")[2:]

    async def _rset(self, rest: str) -> None:
        self.envelope = None
        self._say("250 2.0.0 forgotten")

    async def _noop(self, rest: str) -> None:
        self._say("250 2.0.0 ok")

    async def _quit(self, rest: str) -> None:
        self._say("221 2.0.0 bye")
        self._speak()
        await self.writer.drain()
        self.writer.close()
        raise Dropped

    async def _fault(self, stage: str, address: str = "") -> bool:
        """Whether something goes wrong here, after it has."""
        action = self.sink.faults.at(stage, address)
        if action is not None:
            await self._do(action)
        return action is not None

    async def _do(self, action: str) -> None:
        if action.isdigit():
            usual = f"{action[0]}.0.0 {REPLIES.get(action[0], 'hm')}"
            self._say(f"{action} {self.manners.words.get(action, usual)}")
            if action == "421":
                self._speak()
                await self.writer.drain()
                raise Dropped
            return
        await self.writer.drain()
        if action == "drop":
            raise Dropped
        while action == "endless":
            self._say("250-and another line " + "x" * 400)
            self._speak()
            await self.writer.drain()
        await asyncio.Event().wait()  # hang: until the other side, or the sink, gives up

    def _say(self, reply: str) -> None:
        self.unsaid += reply.encode() + b"\r\n"
        if not self.manners.gathers:
            self._speak()

    def _speak(self) -> None:
        self.writer.write(self.unsaid)
        self.unsaid = b""

    async def _line(self) -> bytes:
        form = LENIENT_LINE if self.manners.lenient else LINE
        while (found := form.search(self.buffer)) is None:
            await self._more()
        line, self.buffer = self.buffer[: found.start()], self.buffer[found.end() :]
        return line

    async def _more(self) -> None:
        self._speak()
        more = await self.reader.read(262_144)
        if not more:
            raise Dropped
        self.buffer += more


WORDS = frozenset(
    ["ehlo", "helo", "starttls", "auth", "mail", "rcpt", "data", "rset", "noop", "quit"]
)


def _address(rest: str) -> str:
    """What stands in the angle brackets of ``FROM:<…>`` or ``TO:<…>``."""
    return rest.partition("<")[2].partition(">")[0]


def read(log: Path) -> list[Mail]:
    """What a sink accepted; a line that a kill cut short was not."""
    lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
    return [msgspec.json.decode(line, type=Mail) for line in lines]


@asynccontextmanager
async def sink(*faults: str, **manners: object) -> AsyncIterator[Sink]:
    """A sink that stands while the block runs."""
    server = Sink(*faults, manners=Manners(**manners))  # type: ignore[arg-type]
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def _run(options: argparse.Namespace) -> None:
    low, _, high = options.delay.partition("-")
    manners = Manners(
        pipelining=not options.no_pipelining,
        lenient=options.lenient,
        delay=(float(low), float(high or low)),
        user=options.user,
        password=options.password,
    )
    if options.cert:
        manners.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        manners.tls.load_cert_chain(options.cert)
    server = Sink(*options.fault, log=options.log, manners=manners, seed=options.seed)
    await server.start(options.host, options.port)
    sys.stdout.write(f"listening on {server.host}:{server.port}\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await server.stop()


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=2525)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--delay", default="0", help="milliseconds before 250, such as 5-60")
    parser.add_argument("--fault", action="append", default=[], help="see tests/sinks/faults.py")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-pipelining", action="store_true")
    parser.add_argument("--lenient", action="store_true")
    parser.add_argument("--cert", type=Path, help="key and certificate; offers STARTTLS")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(parser.parse_args(words)))


if __name__ == "__main__":
    main()
