"""Which addresses can be written to, and how they are written."""

import re

import msgspec
from email_validator import EmailNotValidError, validate_email

LONGEST = 254
"""Characters of an address; RFC 5321 4.5.3.1.3."""

_MAILBOX = re.compile(
    r"(?:(?P<name>[^<>\x00-\x1f\x7f]*?)\s*<(?P<in>[^<>]+)>|(?P<bare>[^<>\s]+))", re.ASCII
)
_SENDER = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"
)


class Address(msgspec.Struct, frozen=True, gc=False):
    """Somewhere mail can be sent to."""

    text: str
    """Normalised: two that are equal here are one mailbox. Case is ignored, as everybody does."""

    envelope: str
    """As the server is told: an international domain in its ASCII form."""

    international: bool
    """Its local part needs a server with SMTPUTF8."""


class Mailbox(msgspec.Struct, frozen=True):
    """An address with a person's or firm's name."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def address(text: str) -> Address | None:
    """None if no mail can be delivered there: it is no address (RFC 5321, 6531), or of a domain
    that is nobody's (``.invalid``, ``.test``, ``localhost``)."""
    if len(text) > LONGEST:
        return None
    try:
        found = validate_email(
            text, check_deliverability=False, globally_deliverable=False, strict=True
        )
    except EmailNotValidError:
        return None
    local = found.local_part
    return Address(
        text=found.normalized.lower(),
        envelope=f"{local}@{found.ascii_domain}",
        international=not local.isascii(),
    )


def mailbox(text: str) -> Mailbox:
    """Read ``Name <a@b>`` or ``a@b``: who mails come from, so the domain may be ours alone.

    Raises `ValueError` with a sentence.
    """
    found = _MAILBOX.fullmatch(text.strip())
    inside = (found["in"] or found["bare"] or "").strip() if found else ""
    if found is None or not _SENDER.fullmatch(inside):
        raise ValueError(f"{text!r} is no sender; write Name <name@domain>, in ASCII after the <.")
    return Mailbox((found["name"] or "").strip().strip('"'), inside)
