"""The mail, as somebody writes it: a draft, linted, looked at with a sample, published."""

from pathlib import Path

import msgspec

from demo.failure import Failure
from demo.rest import Rest

NAME = "December for good customers"
SUBJECT = "December is yours{% if profile.household_size %}, all of you{% endif %}"
LETTER = Path(__file__).parent / "letter"
TEMPLATES = "/content/v1/templates"
SAMPLE = {
    "profile": {"email": "household-1@example.com", "household_size": "4", "kids_count": "2"},
    "unsubscribe_url": "https://shop.example/unsubscribe",
}


class Template(msgspec.Struct):
    id: str
    name: str


class Findings(msgspec.Struct):
    data: list[dict[str, object]]


class Preview(msgspec.Struct):
    subject: str
    html: str
    text: str


class Published(msgspec.Struct):
    content_id: str
    version: int


def published(rest: Rest) -> Published:
    """The mail, published; again, it is the same version. Raises `Failure` where it is not what
    it should be."""
    draft = {
        "name": NAME,
        "subject": SUBJECT,
        "mjml": (LETTER / "good-customers.mjml").read_text(encoding="utf-8"),
        "text": (LETTER / "good-customers.txt").read_text(encoding="utf-8"),
        "sample": SAMPLE,
    }
    found = rest.named(TEMPLATES, Template, NAME)
    found = found or rest.post(TEMPLATES, draft, Template, key="template")
    path = f"{TEMPLATES}/{found.id}"
    if findings := rest.post(f"{path}/lint", {}, Findings).data:
        raise Failure(f"The mail is not in order: {findings}")
    shown = rest.post(f"{path}/preview", {"sample": SAMPLE}, Preview)
    for part in (shown.html, shown.text):
        if "household of 4" not in part and "all 4 of you" not in " ".join(part.split()):
            raise Failure(f"The mail does not speak to whom it should:\n{part}")
    return rest.post(f"{path}/publish", {}, Published, key="publish")
