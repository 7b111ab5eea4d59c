"""Mails on their way, in processes that are killed; and what the mail server's log says of them.

The log of the sink is written before its 250, and is the judge; our own tables never are.
"""

import asyncio
import logging
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import msgspec

from martech.app import load
from martech.kernel import failpoints
from martech.kernel.bus import Bus, Delivery
from martech.kernel.errors import Conflict
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.module import Module
from martech.kernel.settings import Settings
from martech.modules.content.contract import ContentPublished
from martech.modules.delivery.contract import Message, Send
from martech.modules.delivery.domain.ledger import Key
from martech.modules.delivery.domain.links import opened
from martech.modules.delivery.domain.settings import DeliverySettings
from martech.modules.delivery.service import DeliveryService
from martech.modules.delivery.service.engaging import Hit
from martech.modules.profiles.contract import (
    ConsentChanged,
    Identity,
    ProfileChange,
    ProfileChanged,
)
from tests.chaos.history import GuaranteeBroken, Vacuous
from tests.chaos.processes import KILLED, Child, Say
from tests.sinks.manners import Manners
from tests.sinks.smtp import Mail, Sink, read

NAMES = ("tracking", "profiles", "content", "delivery")
LEASE = timedelta(seconds=1)
PLACES = ("unit.before_commit", "unit.after_commit", "jobs.after_lease", "jobs.before_settle")
STILL = 15
"""Fifths of a second without a mail after which none is expected: longer than a lease."""

BETWEEN = 50
"""Mails between two looks at a send: a look costs as much as some of them."""

PATIENCE = 60.0
"""Seconds without any news of a send after which nothing will come of it."""

TEXT = "Dear {{ profile.name }}"


def modules(service: type[DeliveryService] = DeliveryService) -> list[Module]:
    """The product's, but that delivery works by *service*."""
    return [replace(m, service=service) if m.name == "delivery" else m for m in load(NAMES)]


def settings(url: str, port: int) -> Settings:
    own = DeliverySettings(smtp_url=f"smtp://127.0.0.1:{port}?tls=none", retry_seconds=1)
    return Settings(database_url=url, of_modules={DeliverySettings: own}, drain_seconds=15)


async def deliver(say: Say, url: str, port: int, plan: str, service: type[DeliveryService]) -> None:
    """Send what is due, for ever: until *plan* or somebody else ends it. SIGTERM ends it in good
    order."""
    logging.disable()
    async with Host(modules(service), settings(url, port)) as host:
        working = asyncio.ensure_future(Jobs(host, lease=LEASE, resend=LEASE).run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
        failpoints.arm(plan)
        say(os.getpid())
        await asyncio.wait([working])


@dataclass
class Mailing:
    """One send to many, and everything that befalls it."""

    host: Host
    sink: Sink
    log: Path
    url: str
    dice: Random
    service: type[DeliveryService]
    tenant: UUID = field(default_factory=uuid4)
    send_id: UUID = field(default_factory=uuid4)
    content_id: UUID = field(default_factory=uuid4)
    people: dict[str, UUID] = field(default_factory=dict)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    delivery: type[Delivery] = Delivery
    """How the bus carries what others tell."""

    async def begin(self, number: int, *, rate: float | None = None) -> None:
        """A send to *number* people, complete and not begun."""
        self.people = {f"p{each}@example.com": uuid4() for each in range(number)}
        await self._tell_of_people()
        async with self.host.unit("delivery", self.tenant) as service:
            await service.keep_content([_published(self.content_id)])
        async with self.host.unit("delivery", self.tenant) as service:
            await service.open_send(
                self.send_id,
                source="campaign:1",
                occasion="1",
                name="Winter",
                content_id=self.content_id,
                content_version=1,
                rate=rate,
            )
        ids = list(self.people.values())
        for start in range(0, number, 1000):
            async with self.host.unit("delivery", self.tenant) as service:
                await service.add_recipients(self.send_id, ids[start : start + 1000])
        async with self.host.unit("delivery", self.tenant) as service:
            await service.seal_send(self.send_id)

    async def _tell_of_people(self) -> None:
        changes = [
            ProfileChange(
                profile_id=id_,
                traits={"email": msgspec.Raw(msgspec.json.encode(address))},
                identities=[Identity("user_id", address)],
            )
            for address, id_ in self.people.items()
        ]
        for start in range(0, len(changes), 500):
            async with self.host.databases["profiles"].transaction(self.tenant) as tx:
                tx.publish(ProfileChanged(items=changes[start : start + 500]))
        await Bus(self.host).settle()

    async def child(self, plan: str = "") -> Child:
        child = Child(deliver, self.url, self.sink.port, plan, self.service)
        assert isinstance(await child.said(), int)
        return child

    async def die_at_a_place(self, most: int = 10**6, latest: int = 20) -> None:
        """Be killed in the middle of a step, at the *latest* when it gets there so often; or after
        *most* mails, if it comes to none."""
        child = await self.child(f"{self.dice.choice(PLACES)}=kill@{self.dice.randint(1, latest)}")
        ending = asyncio.create_task(child.ended())
        enough = asyncio.create_task(self.taken(most))
        await asyncio.wait([ending, enough], return_when=asyncio.FIRST_COMPLETED)
        enough.cancel()
        if not ending.done():
            os.kill(child.pid, signal.SIGKILL)
        assert await ending == KILLED

    async def die_at_a_moment(self, most: int) -> None:
        """Be killed after so many mails, *most* of them; it begins when its predecessor's lease is
        over."""
        child = await self.child()
        await self.taken(self.dice.randint(1, most))
        await child.kill()

    async def taken(self, more: int, patience: int = STILL) -> None:
        """Wait until the server took so many *more* mails, or none for *patience* fifths of a
        second."""
        until, still = self.sink.accepted + more, 0
        while self.sink.accepted < until and still < patience:
            still = 0 if await self.news() else still + 1

    async def look(self) -> Send:
        async with self.host.unit("delivery", self.tenant, write=False) as service:
            found: Send = await service.send(self.send_id)
            return found

    async def cancel(self) -> datetime:
        """Call it off; returns when that was answered."""
        async with self.host.unit("delivery", self.tenant) as service:
            await service.cancel_send(self.send_id)
        return datetime.now(UTC)

    async def until_it_stops(self) -> Send:
        """Wait until it is paused, or over."""
        async with asyncio.timeout(PATIENCE):
            while (send := await self.look()).status == "open":
                await self.news()
        return send

    async def resume(self) -> None:
        """If it is paused."""
        with suppress(Conflict):
            async with self.host.unit("delivery", self.tenant) as service:
                await service.resume_send(self.send_id)

    async def claimed_after(self, moment: datetime) -> int:
        """Messages that somebody took into their hands later than that."""
        async with self.host.unit("delivery", self.tenant, write=False) as service:
            page = await service.messages(send_id=self.send_id, limit=100_000)
        return sum(m.claimed_at is not None and m.claimed_at > moment for m in page.data)

    async def until_nothing_waits(self, child: Child) -> Send:
        """Wait until nothing is pending or deferred, as long as something moves; then end the
        child."""
        loop, before = asyncio.get_running_loop(), None
        async with asyncio.timeout(PATIENCE) as standing_still:
            while (send := await self.look()).counts.pending > 0 or send.counts.deferred > 0:
                if send.counts != before:
                    before = send.counts
                    standing_still.reschedule(loop.time() + PATIENCE)
                await self.taken(BETWEEN, patience=1)
        await child.kill()
        return send

    async def forbid(self, address: str, way: int) -> None:
        """Somebody says no: by one of three ways. It is committed when this returns; of a consent
        that is profiles' commit, and delivery is to hear of it by the bus."""
        message = Key(self.tenant, "campaign:1", "1", "", "email").message_id(address)
        match way % 3:
            case 0:
                async with self.host.unit("delivery", self.tenant) as service:
                    token = opened("u", (await service.signer()).token("u", message))
                    assert token is not None
                    await service.engage([Hit(token, counts=True)])
            case 1:
                async with self.host.unit("delivery", self.tenant) as service:
                    await service.suppress(address, source="a call")
            case _:
                said = ConsentChanged(
                    profile_id=self.people[address],
                    channel="email",
                    status="denied",
                    at=self.host.clock.now(),
                )
                async with self.host.databases["profiles"].transaction(self.tenant) as tx:
                    tx.publish(said)

    @asynccontextmanager
    async def hearing(self) -> AsyncIterator[None]:
        """Delivery hears what others tell."""
        bus = asyncio.ensure_future(Bus(self.host, delivery=self.delivery).run())
        try:
            yield
        finally:
            bus.cancel()
            await asyncio.wait([bus])

    async def news(self) -> bool:
        """Wait until the server takes another mail, or a fifth of a second; whether it did."""
        before = self.sink.accepted
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                while self.sink.accepted == before:
                    self.sink.news.clear()
                    await self.sink.news.wait()
        return self.sink.accepted > before

    async def ambiguous(self) -> list[Message]:
        async with self.host.unit("delivery", self.tenant, write=False) as service:
            page = await service.messages(send_id=self.send_id, status="ambiguous", limit=100_000)
            found: list[Message] = page.data
            return found

    async def reconcile(self) -> None:
        """Tell what the server's log says."""
        until = self.host.clock.now()
        accepted = {message_id(mail) for mail in self.logged()}
        more = True
        while more:
            async with self.host.unit("delivery", self.tenant) as service:
                settled = await service.reconcile(accepted, since=self.began, until=until)
                more = settled.more

    def logged(self) -> list[Mail]:
        return read(self.log)

    def judge(self, send: Send, *, bounced: Sequence[str] = ()) -> None:
        """Everybody once, but for those who *bounced*; and the numbers are the log's."""
        times = Counter(mail.to[0] for mail in self.logged())
        extra = sum(count - 1 for count in times.values())
        lost = self.people.keys() - times.keys() - set(bounced)
        if extra or lost:
            raise GuaranteeBroken(f"{extra} extra copies, {len(lost)} lost")
        self.judge_numbers(send)

    def judge_numbers(self, send: Send) -> None:
        """They are the log's. (A cancelled send that another followed keeps its own: whom that one
        took over stands in both.)"""
        counts = send.counts
        states = ("delivered", "bounced", "failed", "suppressed", "cancelled", "unreachable")
        settled = sum(getattr(counts, name) for name in states)
        if counts.delivered != len(self.logged()) or settled != counts.audience:
            raise GuaranteeBroken(f"the log has {len(self.logged())}, the send says {counts}")
        if send.status != "completed":
            raise Vacuous(f"the send is {send.status}: {send.problem}")


def _published(content_id: UUID) -> ContentPublished:
    return ContentPublished(
        content_id=content_id,
        name="Winter",
        version=1,
        subject=TEXT,
        html=f"<p>{TEXT}</p>",
        text=TEXT,
        published_at=datetime.now(UTC),
    )


def message_id(mail: Mail) -> UUID:
    return UUID(mail.data.partition("Message-ID: <")[2][:36])


@asynccontextmanager
async def mailing(
    url: str,
    folder: Path,
    *faults: str,
    delay: tuple[float, float] = (0, 0),
    service: type[DeliveryService] = DeliveryService,
    seed: int = 1,
) -> AsyncIterator[Mailing]:
    log = folder / "mails.jsonl"
    sink = Sink(*faults, log=log, manners=Manners(delay=delay), seed=seed)
    await sink.start()
    try:
        async with Host(modules(service), settings(url, sink.port)) as host:
            yield Mailing(host, sink, log, url, Random(seed), service)
    finally:
        await sink.stop()
