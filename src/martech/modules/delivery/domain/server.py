"""Which mail server, read from one URL."""

from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

FORM = (
    "write console:, smtp://[user:password@]host:port[?tls=starttls|none] or "
    "smtps://[user:password@]host:port, each with an optional ca=FILE"
)
PORTS = {"smtp": 25, "smtps": 465}
TLS = ("starttls", "none")

Security = Literal["offered", "starttls", "none", "tls"]


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["console", "smtp", "smtps"]
    host: str = ""
    port: int = 0
    security: Security = "none"
    """*offered*: STARTTLS if the server has it; *starttls*: not without it; *tls*: from the first
    byte. Certificates are verified whenever there is one."""

    user: str = ""
    password: str = ""
    ca: str = ""
    """A file of certificates to trust in place of the system's."""

    @property
    def shown(self) -> str:
        """For people: without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{host}:{self.port}" if host else f"{self.kind}:"


def mail_server(url: str) -> MailServer:
    """Raises `ValueError` with a sentence that says what is wrong and what would be right."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise ValueError(f"{_hidden(url)} is no URL ({exc}); {FORM}.") from None
    match parts.scheme:
        case "console":
            return MailServer(kind="console")
        case "smtp":
            return _server("smtp", parts, port or PORTS["smtp"])
        case "smtps":
            return _server("smtps", parts, port or PORTS["smtps"])
        case _:
            raise ValueError(f"{_hidden(url)} is no mail server; {FORM}.")


def _server(kind: Literal["smtp", "smtps"], parts: SplitResult, port: int) -> MailServer:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    tls, ca = options.pop("tls", None), options.pop("ca", "")
    wrong = not parts.hostname or bool(parts.path.strip("/")) or bool(options)
    if wrong or (tls is not None and (kind == "smtps" or tls not in TLS)):
        raise ValueError(f"{_hidden(parts.geturl())} is no mail server; {FORM}.")
    return MailServer(
        kind=kind,
        host=parts.hostname or "",
        port=port,
        security=_security(kind, tls),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        ca=ca,
    )


def _security(kind: str, tls: str | None) -> Security:
    if kind == "smtps":
        return "tls"
    match tls:
        case None:
            return "offered"
        case "starttls":
            return "starttls"
        case _:
            return "none"


def _hidden(url: str) -> str:
    """The URL as it may be shown: what stands before the host is a secret."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"
