"""From a published content and a person to the bytes that are sent. Pure; preview and delivery
both come through here, so what is shown is what is sent."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

import msgspec

from martech.kernel.templates import Template, TemplateError
from martech.modules.delivery.domain.addresses import Mailbox
from martech.modules.delivery.domain.dkim import Seal
from martech.modules.delivery.domain.links import Signer
from martech.modules.delivery.domain.mail import Letter, build
from martech.modules.delivery.domain.outcomes import Posted
from martech.modules.delivery.domain.people import known_address, traits_of
from martech.modules.delivery.domain.rewriting import named, rewrite
from martech.modules.delivery.domain.settling import Unmade

parsed = lru_cache(24)(Template.parse)
"""Eight contents, of three texts each, that are being sent at a time; beyond that, templates are
parsed again batch by batch. The largest ones take 2.5 MB apiece, and 5 MB in letters of four
bytes: 120 MB at worst, where a usual one takes 0.06."""


class Texts(msgspec.Struct, frozen=True):
    """One version of a content, as templates."""

    subject: str
    html: str
    text: str


class Person(msgspec.Struct, frozen=True, gc=False):
    """Whom a mail is to."""

    id: UUID
    address: str
    traits: bytes
    """Of JSON."""


class House(msgspec.Struct, frozen=True):
    """What is the same in all mails of a process."""

    sender: Mailbox
    base: str
    """Under which people reach us."""

    seal: Seal | None = None
    one_click: bool = True
    """Whether *base* may be called by mail programs: see `reach`."""


class Filled(msgspec.Struct, frozen=True, tag=True):
    """The texts of one mail, with its links led through us."""

    subject: str
    html: str
    text: str
    unsubscribe_url: str
    links: Mapping[str, str]


class Written(msgspec.Struct, frozen=True):
    mail: Posted
    links: Mapping[str, str]
    """Link id -> URL: to be stored before the mail leaves."""


def write(
    message_id: UUID,
    person: Person,
    texts: Texts,
    *,
    house: House,
    signer: Signer,
    at: datetime,
    feedback: str,
) -> Written | Unmade:
    """The mail, or why there is none: a template that does not render for this person."""
    filled = fill(message_id, person, texts, house.base, signer, at)
    if isinstance(filled, Unmade):
        return filled
    return enclose(message_id, person, filled, house=house, at=at, feedback=feedback)


def fill(
    message_id: UUID, person: Person, texts: Texts, base: str, signer: Signer, at: datetime
) -> Filled | Unmade:
    """What holds the processor, as long as a template may; all of it has a form in JSON."""
    unsubscribe = signer.url(base, "u", message_id)
    try:
        subject, html, text = _rendered(texts, _values(person, unsubscribe, at))
    except TemplateError as error:
        return Unmade(f"The template does not render: {error}")
    origins = named(texts.html, texts.text)
    made = rewrite(html, text, origins=origins, base=base, signer=signer, message_id=message_id)
    return Filled(subject, made.html, made.text, unsubscribe, made.links)


def enclose(
    message_id: UUID, person: Person, filled: Filled, *, house: House, at: datetime, feedback: str
) -> Written | Unmade:
    to = known_address(person.address)
    if to is None:
        return Unmade(f"{person.address} is no address that mail can be sent to.")
    letter = Letter(
        message_id=message_id,
        domain=house.sender.domain,
        sender=house.sender,
        to=to,
        subject=filled.subject,
        html=filled.html,
        text=filled.text,
        date=at,
        unsubscribe_url=filled.unsubscribe_url,
        one_click=house.one_click,
        feedback=feedback,
    )
    data = build(letter, house.seal)
    posted = Posted(id=message_id, envelope_from=house.sender.address, to=to.envelope, data=data)
    return Written(posted, filled.links)


def _rendered(texts: Texts, values: dict[str, object]) -> tuple[str, str, str]:
    return (
        parsed(texts.subject, html=False).render(values),
        parsed(texts.html, html=True).render(values),
        parsed(texts.text, html=False).render(values),
    )


def _values(person: Person, unsubscribe: str, at: datetime) -> dict[str, object]:
    """What the templates see. The moment is as exact as the mail's Date."""
    traits = traits_of(person.traits)
    profile = {**traits, "id": person.id, "traits": traits}
    now = at.astimezone(UTC).isoformat(timespec="seconds")
    return {"profile": profile, "unsubscribe_url": unsubscribe, "now": now}
