"""What delivery reads from the environment (``MARTECH_DELIVERY_…``)."""

import msgspec

from martech.modules.delivery.domain.addresses import mailbox
from martech.modules.delivery.domain.reach import warning_at_start
from martech.modules.delivery.domain.server import mail_server


class DeliverySettings(msgspec.Struct, frozen=True, kw_only=True):
    smtp_url: str = "console:"
    """``smtp://[user:password@]host:port[?tls=starttls|none]``, ``smtps://…``, or ``console:``,
    which writes mails to the log and accepts them."""

    sender: str = "martech <news@localhost>"
    """Who mails are from."""

    connections: int = 4
    """To the mail server, at once."""

    retry_seconds: float = 300.0
    """How long a mail waits when the server says *later*; twice as long each further time."""

    dkim_key: str = ""
    """A file with a private key (PEM), by which mails are signed; empty for none."""

    dkim_selector: str = ""
    dkim_domain: str = ""

    def warning(self, public: str) -> str | None:
        """Said when a process starts that is reached at *public*."""
        return warning_at_start(public, mail_server(self.smtp_url))

    def __post_init__(self) -> None:
        mail_server(self.smtp_url)
        mailbox(self.sender)
        if not 1 <= self.connections <= 100:
            raise ValueError(f"{self.connections} connections; choose 1 to 100.")
        if not 0 < self.retry_seconds <= 86_400:
            raise ValueError(f"retry_seconds is {self.retry_seconds}; choose up to a day.")
        if bool(self.dkim_key) != bool(self.dkim_selector and self.dkim_domain):
            raise ValueError("DKIM needs all three: dkim_key, dkim_selector and dkim_domain.")
