"""Who did what to whom, in a chain that shows any later change.

Each module keeps a chain for each tenant in its own schema. An entry is written in the
transaction of the act it records, so neither is there without the other, and carries a hash
over itself and the entry before it.

    number     1            2            3
    hash    h(0, entry)  h(h1, entry)  h(h2, entry)        0 = 32 zero bytes

A changed, removed, inserted or moved entry breaks the chain from there on. Only a cut at the
end leaves a whole chain: so keep the last `Head` somewhere else, and hand it to `verify`.

An audit entry outlives the person it is about: name ids in ``subject`` and ``detail``, never
an address or a name. Erasure cannot rewrite this table.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, String, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from martech.kernel.auth import Principal
from martech.kernel.columns import UtcDateTime, tenant_column

OPERATOR: Final = "operator"
"""The actor where nobody showed a key: the command line, a job, a handler."""

PAGE: Final = 1000

_encoder = msgspec.json.Encoder(order="deterministic")


class Audited(NamedTuple):
    """Something done in a transaction, on its way into the chain."""

    tenant: UUID
    principal: Principal | None
    action: str
    subject: str
    detail: Mapping[str, object]


class Head(NamedTuple):
    """The end of a chain: how long it is, and the hash of its last entry."""

    number: int = 0
    hash: bytes = bytes(32)


class Chain(NamedTuple):
    """A chain as it was found: up to *head* it is known to hold."""

    tenant: UUID
    head: Head
    broken_at: int | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One link, as it is stored. ``detail`` is the JSON that was hashed, byte for byte."""

    tenant: UUID
    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: bytes
    hash: bytes

    @property
    def head(self) -> Head:
        return Head(self.number, self.hash)


class ChainBroken(Exception):
    """The chain was tampered with: it holds up to *head*, and not at the entry behind it."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.number = head.number + 1
        super().__init__(f"The audit chain does not hold at entry {self.number}.")


def audit_table(metadata: MetaData) -> Table:
    return Table(
        "audit",
        metadata,
        tenant_column(primary_key=True),
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        Column("at", UtcDateTime, nullable=False),
        Column("actor", String, nullable=False),
        Column("action", String, nullable=False),
        Column("subject", String, nullable=False),
        Column("detail", LargeBinary, nullable=False),
        Column("hash", LargeBinary, nullable=False),
    )


def link(head: Head, done: Audited, now: datetime) -> Entry:
    """The entry that follows *head*."""
    unsealed = Entry(
        tenant=done.tenant,
        number=head.number + 1,
        at=now,
        actor=str(done.principal) if done.principal else OPERATOR,
        action=done.action,
        subject=done.subject,
        detail=_encoder.encode(dict(done.detail)),
        hash=b"",
    )
    return msgspec.structs.replace(unsealed, hash=_seal(head.hash, unsealed))


def verify(
    entries: Iterable[Entry], *, after: Head | None = None, head: Head | None = None
) -> Head:
    """The head of a chain that holds; raises `ChainBroken` at the first entry that does not.

    *entries* are one tenant's, oldest first, from the one behind *after* (the beginning) on.
    Only a *head* that was kept elsewhere shows that the end was cut off.
    """
    at = after or Head()
    for entry in entries:
        if entry.number != at.number + 1 or entry.hash != _seal(at.hash, entry):
            raise ChainBroken(at)
        at = entry.head
    if head is not None and head != at:
        raise ChainBroken(at)
    return at


async def append(
    connection: AsyncConnection, metadata: MetaData, audited: Sequence[Audited], now: datetime
) -> None:
    """Write *audited* as one of the last acts of the transaction.

    The caller holds the module's outbox lock: two writers would otherwise follow the same head.
    """
    table = metadata.tables[f"{metadata.schema}.audit"]
    heads: dict[UUID, Head] = {}
    entries = []
    for done in audited:
        head = heads.get(done.tenant) or await _head(connection, table, done.tenant)
        entries.append(link(head, done, now))
        heads[done.tenant] = entries[-1].head
    await connection.execute(insert(table), list(_rows(entries)))


async def check(connection: AsyncConnection, metadata: MetaData) -> list[Chain]:
    """Every chain of a module, verified from its beginning. *connection* sees all tenants."""
    table = metadata.tables[f"{metadata.schema}.audit"]
    tenants = await connection.execute(select(table.c.tenant).distinct().order_by(table.c.tenant))
    return [await _check(connection, table, tenant) for tenant in tenants.scalars().all()]


async def _check(connection: AsyncConnection, table: Table, tenant: UUID) -> Chain:
    head = Head()
    while True:
        behind = select(table).where(table.c.tenant == tenant, table.c.number > head.number)
        rows = await connection.execute(behind.order_by(table.c.number).limit(PAGE))
        entries = [Entry(**row) for row in rows.mappings()]
        try:
            head = verify(entries, after=head)
        except ChainBroken as broken:
            return Chain(tenant, broken.head, broken.number)
        if len(entries) < PAGE:
            return Chain(tenant, head)


async def _head(connection: AsyncConnection, table: Table, tenant: UUID) -> Head:
    newest = (
        select(table.c.number, table.c.hash)
        .where(table.c.tenant == tenant)
        .order_by(table.c.number.desc())
        .limit(1)
    )
    row = (await connection.execute(newest)).one_or_none()
    return Head(row.number, row.hash) if row else Head()


def _rows(entries: Iterable[Entry]) -> Iterator[dict[str, object]]:
    for entry in entries:
        yield msgspec.structs.asdict(entry)


def _seal(previous: bytes, entry: Entry) -> bytes:
    """A hash over all the rest; each part is framed, so none can lend to its neighbour."""
    parts = (
        previous,
        entry.tenant.bytes,
        str(entry.number).encode(),
        entry.at.isoformat().encode(),
        entry.actor.encode(),
        entry.action.encode(),
        entry.subject.encode(),
        entry.detail,
    )
    return sha256(b"".join(b"%d:%b," % (len(part), part) for part in parts)).digest()
