"""What people write, and how much of it."""

from collections.abc import Mapping

import msgspec

from martech.kernel.errors import Invalid

SUBJECT = 1_000
BODY = 200_000
TEXT = 100_000
SAMPLE = 64_000
"""Bytes of JSON."""

PRINTED = 400_000
"""Characters of what is made of a body."""

UNSUBSCRIBE = "https://example.com/unsubscribe"
"""What stands for the link of a person in previews."""


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    """A draft, as far as it is sent. Of *mjml* and *html* one is given; without *text*, it is
    derived."""

    subject: str
    mjml: str | None = None
    html: str | None = None
    text: str | None = None

    @property
    def body(self) -> tuple[str, str]:
        """Which of the two it is, and what stands in it."""
        return ("mjml", self.mjml) if self.mjml is not None else ("html", self.html or "")


def check(texts: Texts, sample: Mapping[str, object]) -> None:
    """Raise `Invalid` for a draft that cannot even be kept. What is wrong inside, `lint` says."""
    if texts.mjml is not None and texts.html is not None:
        raise Invalid("A template is written in mjml or in html. Send one of them.", field="html")
    for field, value, most in (
        ("subject", texts.subject, SUBJECT),
        ("mjml", texts.mjml, BODY),
        ("html", texts.html, BODY),
        ("text", texts.text, TEXT),
    ):
        if value is not None and len(value) > most:
            raise Invalid(f"{field} has more than {most:,} characters. Write less.", field=field)
    check_sample(sample)


def check_sample(sample: Mapping[str, object]) -> None:
    if len(msgspec.json.encode(sample)) > SAMPLE:
        raise Invalid(f"The sample has more than {SAMPLE:,} bytes. Send less.", field="sample")
    if not isinstance(sample.get("profile", {}), dict):
        raise Invalid("sample.profile must be an object of traits.", field="sample.profile")
