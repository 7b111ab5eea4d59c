"""Whether those who get mails can reach us by the links in them."""

import re
from urllib.parse import urlsplit

from martech.modules.delivery.domain.server import MailServer

PRINTED = (
    "Mails are printed to the log, none leave: set MARTECH_DELIVERY_SMTP_URL to your mail server."
)
HERE = (
    "Links in mails lead to {}, which is whatever machine they are read on: nobody who reads them "
    "elsewhere can unsubscribe. Set MARTECH_PUBLIC_URL to the https:// address of this platform."
)
PLAIN = (
    "Links in mails lead to {}, which is not encrypted, so mails offer no one-click unsubscribe "
    "(RFC 8058), which large mailbox providers demand. Set MARTECH_PUBLIC_URL to https://."
)

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")


def warning(public: str, server: MailServer) -> str | None:
    """What a person should know of every mail. To try things out, a mail server on this machine
    may take links that lead to this machine."""
    if server.kind == "console":
        return PRINTED
    if _here(public):
        return None if _LOOPBACK.fullmatch(server.host) else HERE.format(public)
    return None if urlsplit(public).scheme == "https" else PLAIN.format(public)


def warning_at_start(public: str, server: MailServer) -> str | None:
    """The same, and what is true only if that mail server hands its mails on."""
    if server.kind != "console" and _here(public):
        return HERE.format(public)
    return warning(public, server)


def one_click(public: str, server: MailServer) -> bool:
    """Whether mails may say that a POST unsubscribes."""
    return warning(public, server) in (None, PRINTED)


def _here(public: str) -> bool:
    return _LOOPBACK.fullmatch(urlsplit(public).hostname or "") is not None
