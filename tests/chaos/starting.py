"""A town whose campaigns are started by many and steered at random; and two planted defects."""

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import select

from martech.kernel.db.engines import is_sqlite, sqlite_file
from martech.kernel.errors import Error as KernelError
from martech.kernel.host import Host
from martech.kernel.module import Module
from martech.modules.campaigns import jobs
from martech.modules.campaigns.domain.steering import Advance, Start
from martech.modules.content.contract import Content
from martech.modules.delivery.contract import Delivery
from martech.modules.delivery.domain.sends import Held
from martech.modules.delivery.module import module as delivery
from martech.modules.delivery.service import DeliveryService
from martech.modules.delivery.tables import messages
from martech.modules.personalization.contract import Personalization
from tests import databases
from tests.e2e.town import Town
from tests.sinks.smtp import Sink, read

EVERYBODY = {"trait": "email", "is": "exists"}
QUIET = 10.0  # seconds without a mail after which nobody waits for another


def with_delivery(service: type[DeliveryService]) -> list[Module]:
    """The product, with another service in delivery."""
    planted = replace(delivery, service=service)
    return [planted if module.name == "delivery" else module for module in databases.product()]


async def settled(town: Town, people: int) -> str:
    """So many people come, and a segment of them all."""
    who = [
        {
            "type": "identify",
            "userId": f"p{number}",
            "messageId": f"p{number}",
            "traits": {"name": f"P {number}", "email": f"p{number}@example.com"},
        }
        for number in range(people)
    ]
    await town.track(who)
    return await town.segment("Everybody", EVERYBODY)


def taken(log: Path) -> list[tuple[str, str]]:
    """Subject and recipient of every mail that the server took."""
    return [
        (re.search(r"^Subject: (.*?)\r?$", mail.data, re.MULTILINE)[1], mail.to[0])  # type: ignore[index]
        for mail in read(log)
    ]


async def start(host: Host, tenant: UUID, campaign: UUID, at: datetime) -> None:
    """As a worker does who holds no lease: nothing but rows keeps it from doing it all again."""
    command = Advance(campaign_id=campaign)
    content, crowd, post = (host.port(p, tenant) for p in (Content, Personalization, Delivery))

    def unit() -> Any:
        return host.unit("campaigns", tenant)

    with contextlib.suppress(KernelError):
        async with unit() as service:
            await service.start(Start(campaign_id=campaign, at=at))
        await jobs.advance.run(command, unit, content, crowd, post)


async def quiet(sink: Sink, over: Callable[[], Awaitable[bool]], seconds: float = QUIET) -> bool:
    """Wait until it is over; False if nothing comes any more and it is not."""
    loop = asyncio.get_running_loop()
    accepted, since = sink.accepted, loop.time()
    while not await over():
        if sink.accepted > accepted:
            accepted, since = sink.accepted, loop.time()
        if loop.time() - since > seconds:
            return False
        await asyncio.sleep(0.1)
    return True


# --- planted defects ----------------------------------------------------------------------------


class NoLedger(DeliveryService):
    """Trusts that nobody is added twice: a message has a number of its own, and no key (E3)."""

    async def _there(self, *_: object) -> set[UUID]:
        return set()

    def _row(self, held: Held, address: str, profile_id: UUID) -> dict[str, object]:
        return {**super()._row(held, address, profile_id), "id": uuid4()}


async def drop_the_key(url: str) -> None:
    """The unique key on the ledger, out of the database."""
    if not is_sqlite(url):
        connection = await asyncpg.connect(url)
        await connection.execute("ALTER TABLE delivery.messages DROP CONSTRAINT uq_messages_ledger")
        await connection.close()
        return
    with contextlib.closing(sqlite3.connect(sqlite_file(url, "delivery"))) as file:
        (made,) = file.execute("SELECT sql FROM sqlite_master WHERE name = 'messages'").fetchone()
        indexes = file.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = 'messages' AND type = 'index' "
            "AND sql IS NOT NULL"
        ).fetchall()
        keyless = re.sub(r",\s*CONSTRAINT uq_messages_ledger UNIQUE \([^)]*\)", "", made)
        assert keyless != made
        file.executescript(";".join(["DROP TABLE messages", keyless, *(sql for (sql,) in indexes)]))


class HighWaterMark(DeliveryService):
    """Remembers how far it got, and not whom it reached (E7)."""

    marks: ClassVar[dict[UUID, UUID]] = {}

    async def _due(self, held: Held, most: int) -> Sequence[Any]:
        waiting = select(*(messages.c[n] for n in ("id", "profile_id", "address", "state"))).where(
            messages.c.tenant == self.tx.tenant,
            messages.c.send_id == held.id,
            messages.c.due_at.is_not(None),
            messages.c.id > self.marks.get(held.id, UUID(int=0)),
        )
        rows = (await self.tx.execute(waiting.order_by(messages.c.id).limit(most))).all()
        if rows:
            self.marks[held.id] = rows[-1].id
        return rows


def everybody(subjects: Sequence[str], people: int) -> list[tuple[str, str]]:
    return [(said, f"p{n}@example.com") for said in subjects for n in range(people)]
