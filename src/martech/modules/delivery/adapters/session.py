"""One session with a mail server, and the mails that go through it one after the other.

With PIPELINING (RFC 2920) the end of a mail and the envelope of the next one travel together, so
that a mail costs one round trip:

    we      MAIL RCPT DATA ▶        mail . MAIL RCPT DATA ▶                    mail . …
    server                 ◀ ok ok go                    ◀ taken · ok ok go

What became of a mail turns on one moment: until the first octet of its end has been handed to the
system it was surely not delivered; from then on only the server's reply tells.
"""

import asyncio
import base64
import re
from collections.abc import Sequence
from ssl import SSLContext
from typing import Self

import msgspec

from martech.modules.delivery.adapters.mails import Mails
from martech.modules.delivery.adapters.wire import Lost, Reply, Wire
from martech.modules.delivery.domain.outcomes import (
    Accepted,
    Ambiguous,
    NotTried,
    Outcome,
    Posted,
    Refused,
    Stage,
)
from martech.modules.delivery.domain.server import MailServer

STAGES: Sequence[Stage] = ("MAIL", "RCPT", "DATA")
LARGE = 32_768
"""Octets of a mail whose end is written only after the rest of it has gone out."""

END = b".\r\n"
CLOSING = 421
"""The server leaves; and our word for a server that left, or fell silent, over a mail."""

GRACE = 0.25
"""Seconds after the time is over in which a mail may follow whose envelope is out."""

BROKEN_OFF = "It was broken off."

_NO_PATH = re.compile(r"[\x00-\x20\x7f<>]")


class Patience(msgspec.Struct, frozen=True):
    """Seconds that each step may take, at most."""

    connect: float = 15.0
    reply: float = 30.0
    body: float = 60.0
    """Until a large mail has gone out."""

    final: float = 60.0
    """Until the server's word for a mail; without it nobody knows what became of it."""

    quit: float = 2.0
    away: float = 0.5
    """Between the first two attempts to reach a server that is away; twice as long each time."""


class Session:
    def __init__(self, wire: Wire, patience: Patience) -> None:
        self.patience = patience
        self.carried = 0
        """Mails of which the server has spoken since the session was taken up."""

        self.rested = False
        """Whether nothing has been heard since it lay idle: the server may have left."""

        self._wire = wire
        self._offers: dict[str, str] = {}
        self._took: float | None = None  # until the server's word for the last mail

    @classmethod
    async def open(
        cls, server: MailServer, context: SSLContext | None, patience: Patience, name: str
    ) -> Self:
        """Connect and introduce ourselves as *name*. Raises `Lost`."""
        loop = asyncio.get_running_loop()
        first = context if server.security == "tls" else None
        try:
            async with asyncio.timeout(patience.connect):
                made = await loop.create_connection(Wire, server.host, server.port, ssl=first)
        except TimeoutError:
            raise Lost(f"no connection to {server.shown} in {patience.connect:g} s") from None
        except OSError as exc:  # ssl.SSLError is one
            raise Lost(f"no connection to {server.shown}: {exc}") from None
        transport, wire = made
        wire.attach(transport)
        session = cls(wire, patience)
        try:
            await session._introduce(server, context, name)
        except BaseException:
            wire.abort("given up")
            raise
        return session

    @property
    def usable(self) -> bool:
        return self._wire.lost is None

    async def carry(self, mails: Mails) -> None:
        """Hand over mails until there is none left to begin. Raises `Lost`; whatever it had in
        hand has been told of by then."""
        mail = self._next(mails)
        begun = False
        while mail is not None:
            refused = await self._permission(mail, mails, begun=begun)
            if refused is None:
                mail, begun = await self._hand_over(mail, mails)
            else:
                self._tell(mails, mail, refused)
                await self._command("RSET")
                mail, begun = self._next(mails), False

    def take_up(self) -> None:
        self.carried, self.rested = 0, True

    def leave(self) -> None:
        """Say goodbye and wait for nothing."""
        if self.usable:
            self._wire.write(b"QUIT\r\n")
        self._wire.close()

    async def quit(self) -> None:
        """Leave politely, if that is possible."""
        try:
            self._wire.write(b"QUIT\r\n")
            await self._wire.reply(self.patience.quit)
        except Lost:
            return
        finally:
            self._wire.close()

    @property
    def _pipelining(self) -> bool:
        return "PIPELINING" in self._offers

    async def _introduce(self, server: MailServer, context: SSLContext | None, name: str) -> None:
        greeting = await self._wire.reply(self.patience.reply)
        if greeting.code != 220:
            raise Lost(f"the server does not want us: {greeting.shown}")
        await self._hello(name)
        secure = server.security == "tls"
        if server.security == "starttls" and "STARTTLS" not in self._offers:
            raise Lost("the server offers no STARTTLS, and the settings demand it")
        if context is not None and not secure and "STARTTLS" in self._offers:
            _expect(220, await self._command("STARTTLS"))
            await self._wire.secure(context, server.host, self.patience.connect)
            await self._hello(name)
            secure = True
        if server.user:
            if not secure and server.security != "none":
                raise Lost("no password goes out unencrypted; write tls=none if it may")
            await self._log_in(server.user, server.password)

    async def _hello(self, name: str) -> None:
        reply = await self._command(f"EHLO {name}")
        if reply.code in (500, 502):
            reply = await self._command(f"HELO {name}")
        _expect(250, reply)
        words = [line.upper().partition(" ") for line in reply.lines[1:]]
        self._offers = {word: rest for word, _, rest in words}

    async def _log_in(self, user: str, password: str) -> None:
        kinds = self._offers.get("AUTH", "").split()
        if "PLAIN" in kinds or "LOGIN" not in kinds:
            reply = await self._command(
                f"AUTH PLAIN {_base64(f'{chr(0)}{user}{chr(0)}{password}')}"
            )
        else:
            _expect(334, await self._command("AUTH LOGIN"))
            _expect(334, await self._command(_base64(user)))
            reply = await self._command(_base64(password))
        _expect(235, reply)

    async def _command(self, command: str) -> Reply:
        self._wire.write(f"{command}\r\n".encode())
        return await self._wire.reply(self.patience.reply)

    def _next(self, mails: Mails) -> Posted | None:
        """The next mail that can be begun; those that cannot go this way are told of."""
        while (mail := mails.next()) is not None:
            unfit = self._unfit(mail)
            if unfit is None:
                return mail
            mails.tell(mail.id, unfit)
        return None

    def _unfit(self, mail: Posted) -> Refused | None:
        """What no server should ever see of us, and what this one cannot take."""
        if _NO_PATH.search(mail.to) or _NO_PATH.search(mail.envelope_from) or not mail.to:
            return Refused(553, "This is no address.", "RCPT")
        data, breaks = mail.data, mail.data.count(b"\r\n")
        if data.count(b"\n") != breaks or data.count(b"\r") != breaks or b"\0" in data:
            return Refused(554, "The mail holds a bare CR or LF, or a NUL.", "DATA")
        if not data.endswith(b"\r\n"):
            return Refused(554, "The mail does not end its last line.", "DATA")
        if not (mail.to + mail.envelope_from).isascii() and "SMTPUTF8" not in self._offers:
            return Refused(553, "The server takes no addresses beyond ASCII.", "MAIL")
        return None

    def _envelope(self, mail: Posted) -> list[bytes]:
        international = not (mail.to + mail.envelope_from).isascii()
        option = " SMTPUTF8" if international else ""
        return [
            f"MAIL FROM:<{mail.envelope_from}>{option}\r\n".encode(),
            f"RCPT TO:<{mail.to}>\r\n".encode(),
            b"DATA\r\n",
        ]

    async def _permission(self, mail: Posted, mails: Mails, *, begun: bool) -> Refused | None:
        """None when the server waits for the mail. *begun* says that its envelope is out."""
        refused: Refused | None = None
        spoken: Stage | None = None  # the first word about this mail makes it tried
        commands = [] if begun else self._envelope(mail)
        try:
            if self._pipelining and commands:
                self._wire.write(b"".join(commands))
                commands = []
            for number, stage in enumerate(STAGES):
                if commands:
                    self._wire.write(commands[number])
                reply = await self._wire.reply(self.patience.reply)
                self.rested = False
                mails.heard(mail)
                if refused is not None and stage == "DATA" and reply.code == 354:
                    await self._command(".")  # it waits for a mail to nobody (RFC 2920 3.1)
                refused = refused or self._judge(stage, reply)
                spoken = stage
                if refused is not None and not self._pipelining:
                    break
        except Lost as exc:
            if self.rested:
                mails.back(mail)  # the server closed a connection that was long idle
            elif spoken is None and not mails.blamed(mail):
                self._drop(mails, mail, NotTried(str(exc)))
            else:
                self.carried += spoken is None  # the break is its word, and it is not away
                self._drop(mails, mail, refused or Refused(CLOSING, str(exc), spoken or "MAIL"))
            raise
        except asyncio.CancelledError:
            self._drop(mails, mail, refused or NotTried(BROKEN_OFF))
            raise
        return refused

    def _judge(self, stage: Stage, reply: Reply) -> Refused | None:
        if stage == "DATA" and reply.code == 354:
            return None
        if stage != "DATA" and reply.code in (250, 251, 252):
            return None
        if reply.code == CLOSING or not 400 <= reply.code < 600:
            raise self._wire.abort(f"the server answered {stage} with {reply.shown}")
        return Refused(reply.code, reply.text, stage)

    async def _hand_over(self, mail: Posted, mails: Mails) -> tuple[Posted | None, bool]:
        """Transmit it and tell what the server says. Returns the mail after it, and whether its
        envelope is out already."""
        data = _stuffed(mail.data)
        following: Posted | None = None
        ended = False
        try:
            if len(data) > LARGE:
                self._wire.write(data)
                data = b""
                await self._wire.flush(self.patience.body)
            following = self._next(mails) if self._may_follow(mails) else None
            ahead = self._envelope(following) if following else []
            self._wire.write(b"".join([data, END, *ahead]))
            ended, began = True, _now()
            reply = await self._wire.reply(self.patience.final)
            self._took = _now() - began
        except (Lost, asyncio.CancelledError) as exc:
            why = str(exc) or BROKEN_OFF
            if following is not None:
                mails.back(following, suspect=True)  # its envelope is out: it may have been that
            self._drop(mails, mail, _unfinished(exc, why, ended=ended))
            raise
        self._tell(mails, mail, _final(reply))
        if reply.code == CLOSING:
            if following is not None:
                mails.back(following)
            raise self._wire.abort(f"the server leaves: {reply.shown}")
        if following is None:
            return self._next(mails), False
        if _now() > mails.until + GRACE:  # nothing of it has gone out, and nothing will
            mails.back(following)
            raise self._wire.abort("the server took too long for the next mail to be begun")
        return following, True

    def _may_follow(self, mails: Mails) -> bool:
        """Whether the next mail's envelope may travel with the end of this one: it would follow in
        time, as far as the last one showed, and is no suspect."""
        known = self._pipelining and self._took is not None and mails.follows
        return known and _now() + (self._took or 0.0) <= mails.until + GRACE

    def _tell(self, mails: Mails, mail: Posted, outcome: Outcome) -> None:
        self.carried += 1
        mails.tell(mail.id, outcome)

    def _drop(self, mails: Mails, mail: Posted, outcome: Outcome) -> None:
        mails.tell(mail.id, outcome)
        self._wire.abort("given up in the middle of a mail")


def _now() -> float:
    return asyncio.get_running_loop().time()


def _final(reply: Reply) -> Outcome:
    if 200 <= reply.code < 300:
        return Accepted(reply.shown)
    if 400 <= reply.code < 600:
        return Refused(reply.code, reply.text, "END")
    return Ambiguous(f"the server ended with {reply.shown}")


def _expect(code: int, reply: Reply) -> None:
    if reply.code != code:
        raise Lost(f"the server refuses us: {reply.shown}")


def _unfinished(exc: BaseException, why: str, *, ended: bool) -> Outcome:
    """Of a mail whose transmission had begun; *ended* says that its end may have gone out."""
    if ended:
        return Ambiguous(why)
    return Refused(CLOSING, why, "DATA") if isinstance(exc, Lost) else NotTried(why)


def _stuffed(data: bytes) -> bytes:
    """RFC 5321 4.5.2: a dot at the beginning of a line gets another one."""
    stuffed = data.replace(b"\r\n.", b"\r\n..") if b"\r\n." in data else data
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
