"""Delivery beside tracking and profiles, with a mail server that notes what it takes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec

from martech.kernel.bus import Bus
from martech.kernel.clock import TestClock
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.messages import Event
from martech.kernel.settings import Settings
from martech.modules.content.contract import ContentPublished, ContentWithdrawn
from martech.modules.delivery.contract import Message, Send
from martech.modules.delivery.domain.settings import DeliverySettings
from martech.modules.delivery.module import module as delivery
from martech.modules.delivery.service import DeliveryService
from martech.modules.profiles.contract import (
    ConsentChanged,
    Identity,
    ProfileChange,
    ProfileChanged,
    ProfilesMerged,
    Status,
)
from tests.modules.delivery.neighbours import NEIGHBOURS
from tests.sinks.smtp import Sink

START = datetime(2026, 12, 1, 12, tzinfo=UTC)
MODULES = (*NEIGHBOURS, delivery)
BASE = "https://mail.example"

SUBJECT = "{{ profile.traits.name }}, it is winter"
HTML = (
    "<html><body><p>Dear {{ profile.traits.name }}, <a href='https://shop.example/boots'>boots</a>"
    "</p><a href='{{ unsubscribe_url }}'>no more</a></body></html>"
)
TEXT = "Dear {{ profile.traits.name }}: https://shop.example/boots\n{{ unsubscribe_url }}\n"


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


class Stand:
    def __init__(self, host: Host, sink: Sink, clock: TestClock) -> None:
        self.host = host
        self.sink = sink
        self.clock = clock
        self.tenant = uuid4()
        self.content_id = uuid4()

    @asynccontextmanager
    async def service(self) -> AsyncIterator[DeliveryService]:
        async with self.host.unit("delivery", self.tenant) as service:
            yield service

    async def publish(self, version: int = 1, *, html: str = HTML, subject: str = SUBJECT) -> None:
        published = ContentPublished(
            content_id=self.content_id,
            name="Winter",
            version=version,
            subject=subject,
            html=html,
            text=TEXT,
            published_at=START,
        )
        async with self.service() as service:
            await service.keep_content([published])

    async def withdraw(self, version: int | None = 1) -> None:
        """Every version up to *version*; all that are known, where none is named."""
        async with self.service() as service:
            gone = ContentWithdrawn(content_id=self.content_id, version=version)
            await service.keep_content([gone])

    async def tell(self, *events: Event) -> None:
        """Have profiles say so, and delivery hear of it."""
        async with self.host.databases["profiles"].transaction(self.tenant) as tx:
            for event in events:
                tx.publish(event)
        await Bus(self.host).settle()

    async def people(self, *names: str) -> list[UUID]:
        """New people, each with a name and an address made of it."""
        ids = [uuid4() for _ in names]
        await self.tell(
            ProfileChanged(
                items=[
                    ProfileChange(
                        profile_id=id_,
                        traits={"name": raw(name), "email": raw(f"{name}@example.com")},
                        identities=[Identity("user_id", name)],
                    )
                    for id_, name in zip(ids, names, strict=True)
                ]
            )
        )
        return ids

    async def change(self, profile_id: UUID, **traits: object) -> None:
        changed = {name: raw(value) for name, value in traits.items()}
        change = ProfileChange(profile_id=profile_id, traits=changed, identities=[])
        await self.tell(ProfileChanged(items=[change]))

    async def merge(self, kept: UUID, merged: UUID) -> None:
        await self.tell(ProfilesMerged(kept=kept, merged=merged))

    async def consent(self, profile_id: UUID, status: Status, at: datetime | None = None) -> None:
        said = at or self.clock.now()
        await self.tell(
            ConsentChanged(profile_id=profile_id, channel="email", status=status, at=said)
        )

    async def open(self, send_id: UUID | None = None, **more: object) -> Send:
        said = {"source": "campaign:1", "occasion": "1", "name": "Winter"}
        said |= {"content_version": 1, **more}
        async with self.service() as service:
            return await service.open_send(
                send_id or uuid4(),
                content_id=self.content_id,
                **said,  # type: ignore[arg-type]
            )

    async def add(self, send: Send, people: Sequence[UUID], *, seal: bool = True) -> Send:
        async with self.service() as service:
            added = await service.add_recipients(send.id, list(people))
        if not seal:
            return added
        async with self.service() as service:
            return await service.seal_send(send.id)

    async def to(self, *names: str, **more: object) -> Send:
        """A send to new people, complete and not begun."""
        await self.publish()
        return await self.add(await self.open(**more), await self.people(*names))

    async def look(self, send: Send) -> Send:
        async with self.host.unit("delivery", self.tenant, write=False) as service:
            found: Send = await service.send(send.id)
            return found

    async def known(self, *names: str) -> list[UUID]:
        """New people whom profiles knows too when it is asked about them."""
        ids = await self.people(*names)
        async with self.host.unit("profiles", self.tenant) as profiles:
            await profiles.know(ids)
        return ids

    async def consents(self, person: UUID) -> dict[str, str]:
        """What profiles keeps: channel -> what holds."""
        async with self.host.unit("profiles", self.tenant, write=False) as profiles:
            said: dict[str, str] = await profiles.said(person)
        return said

    async def messages(self, send: Send) -> dict[str, Message]:
        """By the name before the @."""
        async with self.host.unit("delivery", self.tenant, write=False) as service:
            page = await service.messages(send_id=send.id, limit=1000)
        return {message.address.partition("@")[0]: message for message in page.data}

    async def work(self, *, later: float = 0) -> None:
        """Do what is due *later*, in seconds from now, and hear what it tells."""
        self.clock.move(timedelta(seconds=later))
        await Jobs(self.host).settle()

    def mailed(self) -> list[str]:
        """Whom the server took mails for, by name, sorted."""
        return sorted(mail.to[0].partition("@")[0] for mail in self.sink.mails)


def made(url: str, sink: Sink, **settings: object) -> Stand:
    """On a host that somebody else opens."""
    own = DeliverySettings(
        smtp_url=f"smtp://{sink.host}:{sink.port}?tls=none",
        sender="Shop <news@shop.example>",
        **settings,  # type: ignore[arg-type]
    )
    clock = TestClock(START)
    known = Settings(database_url=url, public_url=BASE, of_modules={DeliverySettings: own})
    return Stand(Host(MODULES, known, clock=clock), sink, clock)


@asynccontextmanager
async def standing(url: str, sink: Sink, **settings: object) -> AsyncIterator[Stand]:
    stand = made(url, sink, **settings)
    async with stand.host:
        yield stand
