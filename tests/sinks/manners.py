"""What kind of mail server a sink is."""

import ssl
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Manners:
    """What kind of server it is."""

    pipelining: bool = True
    smtputf8: bool = True
    lenient: bool = False
    """Ends lines and messages at a bare CR or LF, as servers do that can be smuggled into."""

    gathers: bool = False
    """Replies when it has read all that came, as servers do (RFC 2920 3.2): if it is dropped before
    that, not a word goes out."""

    words: dict[str, str] = field(default_factory=dict)
    """What it says with a code, in place of ``5.0.0 no`` and the like."""

    delay: tuple[float, float] = (0.0, 0.0)
    """Milliseconds between the note and the 250."""

    tls: ssl.SSLContext | None = None
    """Offers STARTTLS; with *wrapped* it speaks TLS from the first byte."""

    wrapped: bool = False
    user: str = ""
    password: str = ""
    mechanisms: str = "PLAIN LOGIN"
