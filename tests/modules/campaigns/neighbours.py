"""Content, personalization and delivery, so small that a test sees through them. Real modules with
the real contracts and rows of their own; what they leave out is what campaigns never sees."""

from uuid import UUID

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Float,
    Integer,
    RowMapping,
    String,
    Table,
    func,
    select,
    update,
)

from martech.kernel.columns import Id, tenant_column
from martech.kernel.db import Transaction, module_metadata
from martech.kernel.errors import Conflict, NotFound
from martech.kernel.module import Module
from martech.modules.content.contract import Content, Published
from martech.modules.delivery.contract import (
    Channel,
    Counts,
    Delivery,
    Send,
    SendProgressed,
    Status,
)
from martech.modules.personalization.contract import Personalization
from tests.modules.campaigns.crowd import Crowd, crowds

contents = module_metadata("content")
versions = Table(
    "versions",
    contents,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),
    Column("version", Integer, nullable=False),
)


class ContentShelf(Content):
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    async def publish(self, content_id: UUID, version: int) -> None:
        row = {"tenant": self.tx.tenant, "id": content_id, "version": version}
        await self.tx.upsert(versions, [row], keys=["tenant", "id"], update=["version"])

    async def published(self, content_id: UUID, *, version: int | None = None) -> Published:
        mine = select(versions.c.version).where(
            versions.c.tenant == self.tx.tenant, versions.c.id == content_id
        )
        found = (await self.tx.execute(mine)).scalar_one_or_none()
        if found is None:
            raise NotFound(f"There is no published content {content_id}.")
        return Published(
            content_id=content_id,
            name="A mail",
            version=found,
            subject="",
            html="",
            text="",
            published_at=self.tx.now,
        )


mails = module_metadata("delivery")
sends = Table(
    "sends",
    mails,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),
    Column("source", String, nullable=False),
    Column("occasion", String, nullable=False),
    Column("name", String, nullable=False),
    Column("content_id", Id, nullable=False),
    Column("content_version", Integer, nullable=False),
    Column("rate", Float),
    Column("status", String, nullable=False),
    Column("sealed", Boolean, nullable=False),
    Column("problem", String),
    Column("asked", String, nullable=False),  # every question that changed something, in order
)
people = Table(
    "people",
    mails,
    tenant_column(primary_key=True),
    Column("send_id", Id, primary_key=True),
    Column("profile_id", Id, primary_key=True),
    Column("status", String, nullable=False),
)


ENDS = {"pause": "paused", "resume": "open", "cancel": "cancelled"}


class PostOffice(Delivery):
    """Sends when it is told to, and tells of it."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    async def open_send(
        self,
        send_id: UUID,
        *,
        source: str,
        occasion: str,
        step: str = "",
        channel: Channel = "email",
        name: str,
        content_id: UUID,
        content_version: int,
        rate: float | None = None,
    ) -> Send:
        row = {
            "tenant": self.tx.tenant,
            "id": send_id,
            "source": source,
            "occasion": occasion,
            "name": name,
            "content_id": content_id,
            "content_version": content_version,
            "rate": rate,
            "status": "open",
            "sealed": False,
            "problem": None,
            "asked": "open",
        }
        await self.tx.insert_new(sends, [row], returning=["id"])
        return await self.send(send_id)

    async def add_recipients(self, send_id: UUID, profile_ids: list[UUID]) -> Send:
        row = await self._row(send_id)
        if row["status"] in ("completed", "cancelled") or row["sealed"]:
            raise Conflict("It takes nobody any more.")
        rows = [
            {"tenant": self.tx.tenant, "send_id": send_id, "profile_id": one, "status": "pending"}
            for one in profile_ids
        ]
        await self.tx.insert_new(people, rows, returning=["profile_id"])
        return await self._ask(row, f"add {len(rows)}")

    async def seal_send(self, send_id: UUID) -> Send:
        row = await self._row(send_id)
        if row["sealed"]:
            return await self.send(send_id)
        if row["status"] == "cancelled":
            raise Conflict("It was cancelled.")
        await self._ask(row, "seal", sealed=True)
        return await self._settle(send_id)

    async def pause_send(self, send_id: UUID) -> Send:
        return await self._turn(send_id, "pause", {"open": "paused"})

    async def resume_send(self, send_id: UUID) -> Send:
        return await self._turn(send_id, "resume", {"paused": "open"})

    async def change_rate(self, send_id: UUID, rate: float | None) -> Send:
        return await self._ask(await self._row(send_id), f"rate {rate}", rate=rate)

    async def cancel_send(self, send_id: UUID) -> Send:
        return await self._turn(send_id, "cancel", {"open": "cancelled", "paused": "cancelled"})

    async def send(self, send_id: UUID) -> Send:
        row = await self._row(send_id, alone=False)
        return Send(
            id=send_id,
            source=row["source"],
            occasion=row["occasion"],
            step="",
            channel="email",
            rate=row["rate"],
            name=row["name"],
            content_id=row["content_id"],
            content_version=row["content_version"],
            status=row["status"],
            sealed=row["sealed"],
            counts=await self._counts(send_id),
            problem=row["problem"],
            opened_at=self.tx.now,
            completed_at=None,
        )

    async def work(self, most: int = 1_000_000, *, opens: int = 0) -> None:
        """Deliver up to *most* of what waits in open sends."""
        mine = select(sends.c.id).where(sends.c.tenant == self.tx.tenant, sends.c.status == "open")
        for send_id in (await self.tx.execute(mine)).scalars().all():
            waiting = select(people.c.profile_id).where(
                *self._of(send_id), people.c.status == "pending"
            )
            done = update(people).where(
                *self._of(send_id), people.c.profile_id.in_(waiting.limit(most))
            )
            await self.tx.execute(done.values(status="delivered"))
            await self._settle(send_id, opens=opens)

    async def trouble(self, send_id: UUID, problem: str | None) -> None:
        row = await self._row(send_id)
        await self._ask(row, "trouble", problem=problem)
        await self._tell(send_id)

    async def opened(self, send_id: UUID, opens: int) -> None:
        """So many open their mail of that send."""
        await self._tell(send_id, opens=opens)

    async def sent(self) -> list[UUID]:
        mine = select(people.c.profile_id).where(
            people.c.tenant == self.tx.tenant, people.c.status == "delivered"
        )
        return sorted((await self.tx.execute(mine)).scalars())

    async def asked(self, send_id: UUID) -> list[str]:
        """What was asked of this send that changed it, in order."""
        asked: str = (await self._row(send_id))["asked"]
        return asked.split(", ")

    async def _turn(self, send_id: UUID, asked: str, after: dict[str, Status]) -> Send:
        row = await self._row(send_id)
        if row["status"] == ENDS[asked]:
            return await self.send(send_id)
        if row["status"] not in after:
            raise Conflict(f"The send is {row['status']}; that is for good.")
        await self._ask(row, asked, status=after[row["status"]])
        await self._tell(send_id)
        return await self.send(send_id)

    async def _settle(self, send_id: UUID, *, opens: int = 0) -> Send:
        row, counts = await self._row(send_id), await self._counts(send_id)
        if row["sealed"] and row["status"] == "open" and not counts.pending:
            await self._ask(row, "complete", status="completed")
        await self._tell(send_id, opens=opens)
        return await self.send(send_id)

    async def _tell(self, send_id: UUID, *, opens: int = 0) -> None:
        send = await self.send(send_id)
        self.tx.publish(
            SendProgressed(
                send_id=send_id,
                source=send.source,
                occasion=send.occasion,
                status=send.status,
                sealed=send.sealed,
                counts=msgspec.structs.replace(send.counts, opened=opens),
                problem=send.problem,
                at=self.tx.now,
            )
        )

    async def _counts(self, send_id: UUID) -> Counts:
        states = select(people.c.status, func.count()).where(*self._of(send_id))
        rows = (await self.tx.execute(states.group_by(people.c.status))).all()
        found: dict[str, int] = {row[0]: row[1] for row in rows}
        delivered = found.get("delivered", 0)
        return Counts(
            audience=sum(found.values()),
            pending=found.get("pending", 0),
            sent=delivered,
            delivered=delivered,
        )

    def _of(self, send_id: UUID) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return people.c.tenant == self.tx.tenant, people.c.send_id == send_id

    async def _row(self, send_id: UUID, *, alone: bool = True) -> RowMapping:
        mine = select(sends).where(sends.c.tenant == self.tx.tenant, sends.c.id == send_id)
        mine = mine.with_for_update() if alone else mine
        row = (await self.tx.execute(mine)).mappings().one_or_none()
        if row is None:
            raise NotFound(f"There is no send {send_id}.")
        return row

    async def _ask(self, row: RowMapping, asked: str, **values: object) -> Send:
        mine = update(sends).where(sends.c.tenant == self.tx.tenant, sends.c.id == row["id"])
        await self.tx.execute(mine.values(asked=f"{row['asked']}, {asked}", **values))
        return await self.send(row["id"])


NEIGHBOURS = (
    Module(port=Content, service=ContentShelf, tables=contents),
    Module(port=Personalization, service=Crowd, tables=crowds),
    Module(port=Delivery, service=PostOffice, tables=mails),
)
