"""Mails on their way, in processes that are killed; and what the mail server's log says of them.

The log of the sink is written before its 250, and is the judge; our own tables never are.
"""

import asyncio
import logging
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
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
from martech.modules.delivery.domain.ledger import AUDIENCE
from martech.modules.delivery.domain.settings import DeliverySettings
from martech.modules.delivery.service import DeliveryService
from martech.modules.profiles.contract import Identity, ProfileChange, ProfileChanged
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


def settings(url: str, port: int, connections: int) -> Settings:
    server = f"smtp://127.0.0.1:{port}?tls=none"
    own = DeliverySettings(smtp_url=server, connections=connections, retry_seconds=1)
    return Settings(database_url=url, of_modules={DeliverySettings: own}, drain_seconds=15)


Told = Callable[["asyncio.Task[None]"], object]
"""What a sender does with its work when it is told to end."""


def in_good_order(working: "asyncio.Task[None]") -> None:
    working.cancel()


async def deliver(
    say: Say, given: Settings, plan: str, service: type[DeliveryService], told: Told
) -> None:
    """Send what is due, for ever: until *plan* or somebody else ends it, or SIGTERM by *told*."""
    logging.disable()
    async with Host(modules(service), given) as host:
        working = asyncio.ensure_future(Jobs(host, lease=LEASE, resend=LEASE).run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told, working)
        failpoints.arm(plan)
        say(os.getpid())
        await asyncio.wait([working])


@dataclass
class Mailing:
    """One send to many, and everything that befalls it."""

    host: Host
    sink: Sink
    log: Path
    given: Settings
    dice: Random
    service: type[DeliveryService]
    tenant: UUID = field(default_factory=uuid4)
    send_id: UUID = field(default_factory=uuid4)
    content_id: UUID = field(default_factory=uuid4)
    people: dict[str, UUID] = field(default_factory=dict)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    delivery: type[Delivery] = Delivery
    """How the bus carries what others tell."""

    told: Told = in_good_order
    """How senders end that are told to."""

    async def begin(self, number: int, *, rate: float | None = None) -> None:
        """A send to *number* people, complete and not begun."""
        self.people = {f"p{each}@example.com": uuid4() for each in range(number)}
        await self._tell_of_people()
        async with self.host.unit("delivery", self.tenant) as service:
            await service.keep_content([_published(self.content_id)])
        async with self.host.unit("delivery", self.tenant) as service:
            await self.open(service, self.send_id, "campaign:1", rate)
        ids = list(self.people.values())
        for start in range(0, number, 1000):
            async with self.host.unit("delivery", self.tenant) as service:
                await service.add_recipients(self.send_id, ids[start : start + 1000])
        async with self.host.unit("delivery", self.tenant) as service:
            await service.seal_send(self.send_id)

    async def open(
        self, service: DeliveryService, send_id: UUID, source: str, rate: float | None
    ) -> None:
        await service.open_send(
            send_id,
            source=source,
            occasion=str(send_id),
            name="Winter",
            content_id=self.content_id,
            content_version=1,
            rate=rate,
        )

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
        child = Child(deliver, self.given, plan, self.service, self.told)
        assert isinstance(await child.said(), int)
        return child

    async def die_at_a_place(self, most: int = 10**6, latest: int = 20) -> None:
        """Be killed in the middle of a step, at the *latest* when it gets there so often; or after
        *most* mails, if it comes to none."""
        child = await self.child(self.place(latest))
        ending = asyncio.create_task(child.ended())
        enough = asyncio.create_task(self.taken(most))
        await asyncio.wait([ending, enough], return_when=asyncio.FIRST_COMPLETED)
        enough.cancel()
        if not ending.done():
            os.kill(child.pid, signal.SIGKILL)
        assert await ending == KILLED

    async def stop(self, child: Child) -> None:
        """Tell it to end, and wait until it has."""
        os.kill(child.pid, signal.SIGTERM)
        assert await child.ended() == 0

    def place(self, latest: int) -> str:
        """A plan to be killed there, at the *latest* when it is reached so often."""
        return f"{self.dice.choice(PLACES)}=kill@{self.dice.randint(1, latest)}"

    async def lose_senders(self, kills: int, at_once: int, most: int) -> int:
        """So many send *at_once*. One after the other is killed and another begun in its place:
        every second one in the middle of a step, the others after up to *most* mails more. How
        many were, before nothing was left to send."""
        done, senders = 0, list[Child]()
        while done < kills and (await self.look()).counts.pending:
            while len(senders) < at_once:
                at_a_place = (done + len(senders)) % 2
                senders.append(await self.child(self.place(latest=10) if at_a_place else ""))
            await self.taken(self.dice.randint(1, most), by=senders)
            dead = [child for child in senders if not child.lives] or [self.dice.choice(senders)]
            for child in dead:
                await child.kill()
                assert await child.ended() == KILLED
            done += len(dead)
            senders = [child for child in senders if child not in dead]
        for child in senders:
            await child.kill()
        return done

    async def taken(self, more: int, patience: int = STILL, by: Sequence[Child] = ()) -> None:
        """Wait until the server took so many *more* mails, or none for *patience* fifths of a
        second, or one of those ended *by* whom they are sent."""
        until, still = self.sink.accepted + more, 0
        while self.sink.accepted < until and still < patience and all(c.lives for c in by):
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

    async def pause(self) -> None:
        """If it is not over."""
        with suppress(Conflict):
            async with self.host.unit("delivery", self.tenant) as service:
                await service.pause_send(self.send_id)

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

    async def barred(self) -> list[str]:
        """Addresses that nobody may write to."""
        async with self.host.unit("delivery", self.tenant, write=False) as service:
            page = await service.suppressions(limit=100_000)
        return [each.address for each in page.data]

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

    def judge(self, send: Send) -> None:
        """Everybody once; and the numbers are the log's."""
        times = Counter(mail.to[0] for mail in self.logged())
        extra = sum(count - 1 for count in times.values())
        lost = self.people.keys() - times.keys()
        if extra or lost:
            raise GuaranteeBroken(f"{extra} extra copies, {len(lost)} lost")
        self.judge_numbers(send)

    def judge_numbers(self, send: Send, known: Mapping[str, int] | None = None) -> None:
        """They are the log's, and add up to the audience; all of them are those that are *known*
        before, where they are, and else 0."""
        shown = {name: getattr(send.counts, name) for name in AUDIENCE}
        wanted = {"delivered": len(self.logged())}
        if known is not None:
            wanted |= dict.fromkeys(AUDIENCE, 0) | known
        wrong = [f"{n}={shown[n]}, not {right}" for n, right in wanted.items() if shown[n] != right]
        if wrong or not send.counts.audience == len(self.people) == sum(shown.values()):
            raise GuaranteeBroken(f"{'; '.join(wrong)}: the send says {send.counts}")
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
    connections: int = 4,
) -> AsyncIterator[Mailing]:
    """Each sender has so many *connections* to a server that takes *delay* milliseconds (from, to)
    to say that it took a mail."""
    log = folder / "mails.jsonl"
    sink = Sink(*faults, log=log, manners=Manners(delay=delay))
    await sink.start()
    try:
        given = settings(url, sink.port, connections)
        async with Host(modules(service), given) as host:
            yield Mailing(host, sink, log, given, Random(1), service)
    finally:
        await sink.stop()
