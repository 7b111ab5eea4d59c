"""Who comes by the links of mails, as far as they say so themselves. Pure.

Scanners of mail gateways say they are browsers, and image proxies of Gmail or Yahoo fetch when
somebody looks: neither is told apart here.
"""

from collections.abc import Mapping

AHEAD = ("sec-purpose", "purpose", "x-purpose", "x-moz")
"""Headers by which browsers say that they fetch what nobody has asked for yet."""

PRIVACY = "Mozilla/5.0"
"""The whole user agent of Apple's Mail Privacy Protection, which fetches all pictures of all mails;
no browser stops there."""


def is_ahead(headers: Mapping[str, str]) -> bool:
    """Whether a browser prefetches. No answer of ours is stored, so it asks again for a person."""
    said = [headers.get(name, "").lower() for name in AHEAD]
    return any("prefetch" in each or "preview" in each for each in said)


def loads_all(agent: str | None) -> bool:
    """Whether it is a program that loads every picture, so that nobody need have looked."""
    return (agent or "").strip() == PRIVACY
