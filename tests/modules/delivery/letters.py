"""Letters for tests, and how the standard library reads them."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from martech.modules.delivery.domain.addresses import Mailbox, address
from martech.modules.delivery.domain.mail import Letter

ID = UUID("0197b5f2-7d6a-7c3e-9d8b-0123456789ab")
DATE = datetime(2026, 11, 21, 7, 8, 9, tzinfo=UTC)
OUT = f"https://mail.example/u/{'A' * 64}"

texts = st.text(st.characters(), max_size=2000)
"""Anything: controls, lone surrogates, right-to-left, emoji."""

lines = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]) | st.sampled_from("\r\n\t .=-"),
    max_size=2000,
)


def letter(**changes: Any) -> Letter:
    to = address("ada@example.com")
    assert to is not None
    given: dict[str, Any] = {
        "message_id": ID,
        "domain": "news.example",
        "sender": Mailbox("The Journey", "news@news.example"),
        "to": to,
        "to_name": "Ada",
        "subject": "Hello",
        "html": "<p>Hello Ada</p>",
        "text": "Hello Ada",
        "date": DATE,
        "unsubscribe_url": OUT,
        "feedback": "autumn:acme",
    }
    return Letter(**{**given, **changes})


def parsed(data: bytes) -> EmailMessage:
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert message.defects == []
    return message


HEADERS = [
    "Date",
    "From",
    "To",
    "Message-ID",
    "Subject",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Feedback-ID",
    "MIME-Version",
    "Content-Type",
]
"""What a mail has, in this order, and nothing else whatever was put into it."""


def check_wire(data: bytes) -> None:
    """What every byte of every mail keeps."""
    assert b"\0" not in data
    assert data.count(b"\n") == data.count(b"\r") == data.count(b"\r\n")
    assert data.endswith(b"\r\n")
    for line in data.split(b"\r\n"):
        assert len(line) <= 998, line
    head, _, body = data.partition(b"\r\n\r\n")
    assert data.isascii()
    assert all(len(line) <= 76 for line in body.split(b"\r\n"))
    assert not any(not line.strip() for line in head.split(b"\r\n"))
