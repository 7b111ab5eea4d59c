"""What is handed to the mail server, and what may become of it."""

import re
from typing import Literal
from uuid import UUID

import msgspec

_ENHANCED = re.compile(r"5\.\d{1,3}\.\d{1,3}\b", re.ASCII)
_THEIRS = re.compile(r"5\.1\.([1236]|10)\b", re.ASCII)
"""Of RFC 3463 and 7505: no such mailbox, no such domain, no address; moved; takes no mail."""

_NOT_THEIRS = re.compile(r"5\.(1\.[78]|2\.[23]|[3567]\.\d+)\b", re.ASCII)
"""The sender's address, a full mailbox, too large a mail; the system, the dialogue,
the content, and whatever somebody's policy is."""

_OURS = re.compile(
    r"\b(relay|(un)?auth|polic|prohibit|not permitted|access denied|sender|spam|reputation|block|"
    r"(black|deny) ?list|rbl|dnsbl|quota|full\b|too many)",
    re.IGNORECASE,
)
"""What servers that send no such codes say to whom they do not want."""

_ADDRESS = re.compile(r"\S*@\S*")

Stage = Literal["MAIL", "RCPT", "DATA", "END"]
"""The step of the SMTP dialogue: the sender, the recipient, the permission to send, the message."""

Dead = Literal["no", "perhaps", "surely"]
"""What a refusal says of the address: *perhaps* is believed of a server that takes our mail."""


class Posted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One mail on its way to one recipient."""

    id: UUID
    envelope_from: str
    """Where the server returns what it cannot deliver."""

    to: str
    data: bytes
    """The whole message, lines ended by CRLF; dots are stuffed on the way."""


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The server took the message on itself (250 at its end)."""

    reply: str


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The server said no, and holds nothing of it. 421 is also a server that had begun with this
    mail and left, or fell silent, before its end: it may be this mail that it does not stand, so
    it counts as an attempt."""

    code: int
    text: str
    stage: Stage

    @property
    def permanent(self) -> bool:
        """5xx: the same mail will be refused again."""
        return self.code >= 500

    @property
    def dead(self) -> Dead:
        """Whether the recipient was refused for good; anything else says nothing about them.

        Servers keep their refusal of the sender, or of us, until they hear the first recipient
        (*relay access denied*); it would be the same for everybody."""
        if not self.permanent or self.stage != "RCPT":
            return "no"
        if _THEIRS.match(self.text):
            return "surely"
        enhanced = _ENHANCED.match(self.text) is not None
        if _NOT_THEIRS.match(self.text) or not (enhanced or self.code in (550, 551, 553)):
            return "no"
        return "no" if _OURS.search(anonymous(self.text)) else "perhaps"


def anonymous(text: str) -> str:
    """What a server says, without the addresses that it repeats."""
    return _ADDRESS.sub("…", text)


class Ambiguous(msgspec.Struct, frozen=True, gc=False):
    """The end of the message was, or may have been, transmitted, and no word came back."""

    error: str


class NotTried(msgspec.Struct, frozen=True, gc=False):
    """Surely not delivered, for no reason of its own: the server was away, or left before it said
    a word about this mail, or the time was over, or we were."""

    reason: str


Outcome = Accepted | Refused | Ambiguous | NotTried


class Reachability(msgspec.Struct, frozen=True, kw_only=True):
    """How the mail server is, as far as the last attempts showed."""

    server: str
    """Without credentials, such as ``smtp://mail.example:587``."""

    reachable: bool | None
    """None until somebody tried."""

    error: str | None
    retry_in: float | None
    """Seconds until it is tried again; until then everything is `NotTried` at once."""
