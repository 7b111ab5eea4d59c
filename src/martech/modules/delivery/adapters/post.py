"""The way out: mails to the mail server that the settings name."""

from collections.abc import Callable, Sequence
from typing import Protocol

from martech.modules.delivery.adapters.console import Console
from martech.modules.delivery.adapters.mails import Tell
from martech.modules.delivery.adapters.pool import SmtpPool
from martech.modules.delivery.domain.addresses import mailbox
from martech.modules.delivery.domain.outcomes import Posted, Reachability
from martech.modules.delivery.domain.server import MailServer, mail_server
from martech.modules.delivery.domain.settings import DeliverySettings


class Transport(Protocol):
    """One kind of way out."""

    async def send(self, letters: Sequence[Posted], tell: Tell, *, within: float) -> None:
        """Hand over *letters*. Each is told of, once, before this returns, whatever happens and
        even when it is cancelled. After *within* seconds none is begun: what is left then is
        `NotTried`, and what was begun is waited for."""
        ...

    def status(self) -> Reachability: ...

    async def close(self) -> None: ...


class Post:
    """The transport of this host. It belongs to the loop of the jobs, and opens nothing before
    the first mail."""

    def __init__(self, settings: DeliverySettings) -> None:
        server = mail_server(settings.smtp_url)
        self._transport = TRANSPORTS[server.kind](server, settings)

    async def send(self, letters: Sequence[Posted], tell: Tell, *, within: float) -> None:
        """See `Transport.send`; *within* is in seconds."""
        await self._transport.send(letters, tell, within=within)

    def status(self) -> Reachability:
        return self._transport.status()

    async def close(self) -> None:
        await self._transport.close()


def _console(server: MailServer, settings: DeliverySettings) -> Transport:
    return Console()


def _smtp(server: MailServer, settings: DeliverySettings) -> Transport:
    name = mailbox(settings.sender).domain
    return SmtpPool(server, connections=settings.connections, name=name)


TRANSPORTS: dict[str, Callable[[MailServer, DeliverySettings], Transport]] = {
    "console": _console,
    "smtp": _smtp,
    "smtps": _smtp,
}
