"""How mails of this process are written: one thing for those who send and those who preview."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from martech.kernel.aside import Aside
from martech.kernel.errors import Conflict
from martech.kernel.files import secret
from martech.kernel.settings import Settings
from martech.modules.delivery.domain.addresses import mailbox
from martech.modules.delivery.domain.claims import Draft
from martech.modules.delivery.domain.dkim import Seal
from martech.modules.delivery.domain.links import Signer, previewing
from martech.modules.delivery.domain.reach import one_click, warning
from martech.modules.delivery.domain.server import mail_server
from martech.modules.delivery.domain.settings import DeliverySettings
from martech.modules.delivery.domain.settling import Unmade
from martech.modules.delivery.domain.writing import (
    Filled,
    House,
    Person,
    Texts,
    Written,
    enclose,
    fill,
    write,
)

REMEMBERED = 100_000
"""Links that a process knows to be stored; then it begins anew."""


class Writer:
    """Raises `ValueError` in a sentence when the key that signs cannot be used."""

    def __init__(self, own: DeliverySettings, settings: Settings) -> None:
        seal = None
        if own.dkim_key:
            seal = Seal(secret(own.dkim_key), own.dkim_selector, own.dkim_domain)
        self.server = mail_server(own.smtp_url)
        self.warning = warning(settings.public, self.server)
        """What a person should know of every mail that is written here."""
        self.house = House(
            mailbox(own.sender),
            settings.public,
            seal,
            one_click=one_click(settings.public, self.server),
        )
        self.retry = timedelta(seconds=own.retry_seconds)
        self._stored: set[tuple[UUID, str]] = set()

    def write(
        self,
        message_id: UUID,
        person: Person,
        texts: Texts,
        *,
        signer: Signer,
        at: datetime,
        feedback: str,
    ) -> Written | Unmade:
        """The mail as it is sent at *at*, or why there is none."""
        return write(
            message_id, person, texts, house=self.house, signer=signer, at=at, feedback=feedback
        )

    def enclose(
        self, message_id: UUID, person: Person, filled: Filled, *, at: datetime, feedback: str
    ) -> Written | Unmade:
        """The mail of texts that were filled in already."""
        return enclose(message_id, person, filled, house=self.house, at=at, feedback=feedback)

    def unknown(self, tenant: UUID, links: Mapping[str, str]) -> dict[str, str]:
        """Those of *links* that may not be stored yet."""
        return {id_: url for id_, url in links.items() if (tenant, id_) not in self._stored}

    def stored(self, tenant: UUID, links: Mapping[str, str]) -> None:
        """They are: there is a row of each."""
        if len(self._stored) > REMEMBERED:
            self._stored.clear()
        self._stored.update((tenant, id_) for id_ in links)


class Proofs:
    """Mails that are shown to who asks, and not sent: a template may hold the processor for long,
    so it is filled in aside, where it holds up nobody else's request."""

    def __init__(self) -> None:
        self.aside = Aside()

    async def proof(self, tenant: UUID, draft: Draft, writer: Writer, at: datetime) -> bytes:
        """*draft* as *writer* would write it at *at*, but for its tokens. Raises `Conflict` when it
        does not render, `TooMany` when the tenant asks for too many at once, and `Unavailable` when
        too many tenants do."""
        message = draft.message
        asked = message.id, message.person, draft.texts, writer.house.base, previewing(tenant), at
        made: Written | Filled | Unmade = await self.aside.do(tenant, fill, *asked)
        if isinstance(made, Filled):
            made = writer.enclose(message.id, message.person, made, at=at, feedback=draft.feedback)
        if isinstance(made, Unmade):
            raise Conflict(made.reason)
        return made.mail.data

    async def close(self) -> None:
        await self.aside.close()
