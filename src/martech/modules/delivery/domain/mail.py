"""A mail, assembled by hand: `email.message` takes fifty times as long.

    Date, From, To, Message-ID, Subject, List-Unsubscribe, List-Unsubscribe-Post, Feedback-ID
    multipart/alternative ── text/plain
                         └── text/html

The same letter is the same bytes, always. What people wrote is data: it cannot begin a header, end
the head, or end the message, because a control character never reaches one.
"""

import re
from base64 import encodebytes
from binascii import b2a_base64, b2a_qp
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from martech.modules.delivery.domain.addresses import Address, Mailbox
from martech.modules.delivery.domain.dkim import Seal

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

LINE = 76
"""Characters of a line in a head or a body."""

WORD = 39
"""Bytes of one encoded word, so that a line with the name of its header stays within `LINE`."""

SUBJECT = 900
NAME = 120
"""The most characters of a subject, and of a person's name."""

_BREAKS = re.compile("[\x00-\x20\x7f-\x9f\u2028\u2029]+")
_UNSAFE_URL = re.compile(r"[^!#-;=?-Z\[\]_a-z~]")
_UNSAFE_FEEDBACK = re.compile(r"[^A-Za-z0-9:._-]+")
_ASCII = bytes(range(128))

Header = tuple[str, str]


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One mail to one person, rendered. The texts hold whatever people put in."""

    message_id: UUID
    domain: str
    """Where the Message-ID is at home: ``<message_id@domain>``."""

    sender: Mailbox
    to: Address
    to_name: str = ""
    subject: str
    html: str
    text: str
    date: datetime
    unsubscribe_url: str
    one_click: bool = True
    """Whether a POST to it unsubscribes (RFC 8058)."""

    feedback: str = ""
    """What complaints are counted by: up to four words with ``:`` between them."""


def build(letter: Letter, seal: Seal | None = None) -> bytes:
    """The whole message, lines ended by CRLF, signed if there is a *seal*."""
    kind, body = _body(letter)
    headers = [*_headers(letter), *kind]
    if seal is not None:
        headers.insert(0, ("DKIM-Signature", seal.sign(headers, body, letter.date)))
    head = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return head.encode() + b"\r\n" + body


def one_line(text: str) -> str:
    """*text* without line breaks and other controls, and without lone surrogates."""
    return _BREAKS.sub(" ", text.encode(errors="replace").decode()).strip()


def _headers(letter: Letter) -> list[Header]:
    headers = [
        ("Date", stamp(letter.date)),
        ("From", _mailbox(letter.sender.name, letter.sender.address)),
        ("To", _mailbox(letter.to_name, letter.to.envelope)),
        ("Message-ID", f"<{letter.message_id}@{letter.domain}>"),
        ("Subject", _unstructured(one_line(letter.subject)[:SUBJECT].rstrip())),
        ("List-Unsubscribe", f"<{_UNSAFE_URL.sub('', letter.unsubscribe_url)}>"),
    ]
    if letter.one_click:
        headers.append(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    if feedback := _UNSAFE_FEEDBACK.sub("", letter.feedback):
        headers.append(("Feedback-ID", feedback[:200]))
    return headers


def stamp(date: datetime) -> str:
    """As RFC 5322 writes dates, in UTC."""
    at = date.astimezone(UTC)
    day, month = DAYS[at.weekday()], MONTHS[at.month - 1]
    return f"{day}, {at.day:02} {month} {at.year:04} {at:%H:%M:%S} +0000"


def _mailbox(name: str, address: str) -> str:
    phrase = one_line(name)[:NAME].rstrip()
    if not phrase:
        return address
    gap = "\r\n " if len(phrase) + len(address) > 60 else " "
    return f"{_phrase(phrase)}{gap}<{address}>"


def _phrase(name: str) -> str:
    """A name before an address: quoted, or in encoded words."""
    if name.isascii() and "=?" not in name and len(name) <= 60:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return _encoded(name)


def _unstructured(text: str) -> str:
    """Free text as it is, folded between words; in encoded words where it must be."""
    if not text.isascii() or "=?" in text:
        return _encoded(text)
    if len(text) + 9 <= LINE:
        return text
    lines, line = [], " " * 8  # where the header's name stands
    for word in text.split(" "):
        if len(word) > LINE - 10:
            return _encoded(text)
        if len(line) + 1 + len(word) > LINE:
            lines.append(line)
            line = ""
        line = f"{line} {word}"
    return "\r\n".join([*lines, line])[9:]


def _encoded(text: str) -> str:
    """RFC 2047, base64, never in the middle of a character."""
    data, words, start = text.encode(), [], 0
    while start < len(data):
        end = min(start + WORD, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{b2a_base64(data[start:end], newline=False).decode()}?=")
        start = end
    return "\r\n ".join(words)


def _body(letter: Letter) -> tuple[list[Header], bytes]:
    """The headers that describe it, and the body."""
    parts = [("plain", letter.text)] if letter.text.strip() or not letter.html.strip() else []
    if letter.html.strip():
        parts.append(("html", letter.html))
    made = [_part(kind, text) for kind, text in parts]
    version = ("MIME-Version", "1.0")
    if len(made) == 1:
        return [version, *made[0][0]], made[0][1]
    boundary = f"=_{letter.message_id.hex}"  # = and _ never meet in an encoded body
    mark = f"--{boundary}\r\n".encode()
    pieces = [piece for headers, data in made for piece in (mark, _head(headers), data)]
    body = b"".join([*pieces, f"--{boundary}--\r\n".encode()])
    return [version, ("Content-Type", f'multipart/alternative;\r\n boundary="{boundary}"')], body


def _head(headers: list[Header]) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in headers]).encode() + b"\r\n"


def _part(kind: str, text: str) -> tuple[list[Header], bytes]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
    data = lines.encode(errors="replace")
    if not data.endswith(b"\n"):
        data += b"\n"
    encoding, encoded = _transferred(data)
    return [
        ("Content-Type", f"text/{kind}; charset=utf-8"),
        ("Content-Transfer-Encoding", encoding),
    ], encoded


def _transferred(data: bytes) -> tuple[str, bytes]:
    """Readable where most of it is ASCII; base64 where that is shorter."""
    foreign = 0 if data.isascii() else len(data.translate(None, _ASCII))
    if foreign * 6 > len(data):
        return "base64", encodebytes(data.replace(b"\n", b"\r\n")).replace(b"\n", b"\r\n")
    return "quoted-printable", b2a_qp(data, istext=True).replace(b"\n", b"\r\n")
