"""Sessions with one mail server, kept open from call to call, few at a time."""

import asyncio
import ssl
from collections.abc import Sequence

from martech.modules.delivery.adapters.mails import Mails, Tell
from martech.modules.delivery.adapters.session import Patience, Session
from martech.modules.delivery.adapters.suspects import Suspects
from martech.modules.delivery.adapters.wire import Lost
from martech.modules.delivery.domain.outcomes import Posted, Reachability
from martech.modules.delivery.domain.server import MailServer

ENOUGH = 10
"""Mails that are worth a connection more."""

IDLE = 60.0
"""Seconds after which a connection that nobody needs is closed; servers wait for five minutes."""

LONGEST_WAIT = 30.0
"""Seconds between two attempts to reach a server that is away, at most."""


class SmtpPool:
    def __init__(
        self,
        server: MailServer,
        *,
        connections: int = 4,
        name: str = "localhost",
        patience: Patience | None = None,
        session: type[Session] = Session,
    ) -> None:
        """*name* is how we introduce ourselves. Raises `ValueError` if the server's certificates
        cannot be read."""
        self.server = server
        self._connections = connections
        self._name = name
        self._patience = patience or Patience()
        self._kind = session
        self._context = _context(server)
        self._slots = asyncio.Semaphore(connections)
        self._suspects = Suspects()
        self._idle: list[tuple[float, Session]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._reachable: bool | None = None
        self._error: str | None = None
        self._failures = 0
        self._retry_at = 0.0

    async def send(self, letters: Sequence[Posted], tell: Tell, *, within: float) -> None:
        mails = Mails(letters, tell, within=within, suspects=self._suspects)
        wanted = min(self._connections, 1 + len(letters) // ENOUGH)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(wanted):
                    group.create_task(self._work(mails))
        finally:
            mails.give_up(self._error or "There was no time left.")

    def status(self) -> Reachability:
        wait = self._retry_at - _now() if self._reachable is False else 0.0
        return Reachability(
            server=self.server.shown,
            reachable=self._reachable,
            error=self._error,
            retry_in=wait if wait > 0 else None,
        )

    async def close(self) -> None:
        """Leave the server in good order."""
        if self._timer is not None:
            self._timer.cancel()
        idle, self._idle = self._idle, []
        await asyncio.gather(*(session.quit() for _, session in idle))

    async def _work(self, mails: Mails) -> None:
        while mails.left:
            try:
                async with asyncio.timeout_at(mails.until):
                    await self._slots.acquire()
            except TimeoutError:
                return
            try:
                session = await self._session()
                if session is None:
                    return
                await self._carry(session, mails)
            finally:
                self._slots.release()

    async def _carry(self, session: Session, mails: Mails) -> None:
        try:
            await session.carry(mails)
        except Lost as exc:
            if session.carried:
                self._reached()
            elif not session.rested:
                self._failed(str(exc))
        else:
            self._reached()
            self._rest(session)

    async def _session(self) -> Session | None:
        """One that is open, or a new one; None while the server is away."""
        while self._idle:
            _, session = self._idle.pop()
            if session.usable:
                session.take_up()
                return session
        if _now() < self._retry_at:
            return None
        try:
            return await self._kind.open(self.server, self._context, self._patience, self._name)
        except Lost as exc:
            self._failed(str(exc))
            return None

    def _reached(self) -> None:
        self._reachable, self._error, self._failures, self._retry_at = True, None, 0, 0.0

    def _failed(self, error: str) -> None:
        self._reachable, self._error = False, error
        if _now() >= self._retry_at:  # several at once are one failure
            wait = min(self._patience.away * 2**self._failures, LONGEST_WAIT)
            self._failures += 1
            self._retry_at = _now() + wait

    def _rest(self, session: Session) -> None:
        self._idle.append((_now(), session))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(IDLE, self._reap)

    def _reap(self) -> None:
        """Close what has been idle for long."""
        self._timer = None
        old = [session for since, session in self._idle if since <= _now() - IDLE]
        self._idle = [(since, session) for since, session in self._idle if session not in old]
        for session in old:
            session.leave()
        if self._idle:
            self._timer = asyncio.get_running_loop().call_later(IDLE, self._reap)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _context(server: MailServer) -> ssl.SSLContext | None:
    if server.security == "none":
        return None
    try:
        return ssl.create_default_context(cafile=server.ca or None)
    except OSError as exc:  # ssl.SSLError is one
        raise ValueError(f"The certificates in {server.ca!r} cannot be read: {exc}.") from None
