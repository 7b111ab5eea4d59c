"""Idempotency keys: the first answer to a request, kept in the transaction of its effect.

A client that got no answer sends the request again with the same ``Idempotency-Key`` and gets
the answer it missed. The answer and the effect are one commit: there is never one without
the other, on either database and across processes. Of two requests with one key at the same
moment one commits; the other is rolled back and given the first one's answer.

An answer may hold what is shown only once, an API key for example. So it is sealed with the
idempotency key, which we do not keep, and given to nobody but whose API key the request came with.
(draft-ietf-httpapi-idempotency-key-header)
"""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import (
    Column,
    CursorResult,
    Executable,
    Index,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    delete,
    select,
    tuple_,
)

from martech.kernel.columns import UtcDateTime, table, tenant_column
from martech.kernel.commands import Unit
from martech.kernel.errors import Conflict, Invalid, Malformed

KEPT = timedelta(days=1)
"""How long an answer is kept, counted from the first request; then `forget` removes it."""

LONGEST = 255

_KEY = re.compile(r'"?([\x21\x23-\x7e]{1,255})"?')
_NONCE = 12


class Answer(msgspec.Struct, frozen=True):
    """What was answered, with the headers that belong to it (``content-type``, ``location``)."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Sent(msgspec.Struct, frozen=True):
    """A request that carries a key, and the fingerprint of everything it asks for."""

    key: str
    fingerprint: bytes

    def name(self) -> str:
        """What we know the key by."""
        return sha256(b"name" + self.key.encode()).hexdigest()

    def seal(self, answer: Answer) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher().encrypt(nonce, msgspec.msgpack.encode(answer), None)

    def open(self, sealed: bytes) -> Answer:
        plain = self._cipher().decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        return msgspec.msgpack.decode(plain, type=Answer)

    def _cipher(self) -> AESGCM:
        return AESGCM(sha256(b"seal" + self.key.encode()).digest())


class Transaction(Protocol):
    """One tenant's part of a unit of work (`db.Transaction`)."""

    @property
    def tenant(self) -> UUID: ...
    @property
    def now(self) -> datetime: ...

    async def execute(self, statement: Executable, /) -> "CursorResult[Any]": ...

    async def insert_new(
        self, table: Table, rows: Sequence[Mapping[str, Any]], *, returning: Sequence[str]
    ) -> Sequence[Row[Any]]: ...


def idempotency_table(metadata: MetaData) -> Table:
    return Table(
        "idempotency",
        metadata,
        tenant_column(primary_key=True),
        Column("key", String(LONGEST), primary_key=True),
        Column("fingerprint", LargeBinary(32), nullable=False),
        Column("answer", LargeBinary, nullable=False),
        Column("created", UtcDateTime, nullable=False),
        Index(None, "created"),
    )


def sent(header: str, method: str, target: str, body: bytes, *, by: UUID) -> Sent:
    """The request behind *header*; *target* is its path with the query, *by* whose key it came.
    Raises `Malformed`."""
    match = _KEY.fullmatch(header)
    if match is None:
        raise Malformed(
            f"Idempotency-Key must be 1 to {LONGEST} visible ASCII characters. Send a UUID.",
            field="Idempotency-Key",
        )
    request = b"\0".join((by.bytes, method.encode(), target.encode(), body))
    return Sent(match[1], sha256(request).digest())


async def first_answer(tx: Transaction, metadata: MetaData, request: Sent) -> Answer | None:
    """The answer to the first request with this key; `Invalid` if that asked for something else."""
    kept = table(metadata, "idempotency")
    mine = select(kept.c.fingerprint, kept.c.answer).where(
        kept.c.tenant == tx.tenant,
        kept.c.key == request.name(),
        kept.c.created > tx.now - KEPT,
    )
    row = (await tx.execute(mine)).one_or_none()
    if row is None:
        return None
    if row.fingerprint != request.fingerprint:
        raise Invalid(
            "This Idempotency-Key came with another request before, or from somebody else. Use one "
            "key for each request.",
            field="Idempotency-Key",
        )
    try:
        return request.open(row.answer)
    except InvalidTag:
        raise Conflict(
            "The answer kept for this Idempotency-Key is damaged. Use a new key."
        ) from None


async def keep(tx: Transaction, metadata: MetaData, request: Sent, answer: Answer) -> None:
    """Keep *answer* if this transaction commits; `Conflict` if another request was first."""
    kept = table(metadata, "idempotency")
    name = request.name()
    mine = kept.c.tenant == tx.tenant, kept.c.key == name
    await tx.execute(delete(kept).where(*mine, kept.c.created <= tx.now - KEPT))
    row = {
        "tenant": tx.tenant,
        "key": name,
        "fingerprint": request.fingerprint,
        "answer": request.seal(answer),
        "created": tx.now,
    }
    if not await tx.insert_new(kept, [row], returning=["key"]):
        raise Conflict("A request with this Idempotency-Key is being processed. Send it again.")


async def forget(unit: Unit, metadata: MetaData, limit: int = 500) -> bool:
    """Remove up to *limit* answers whose day is over, of all tenants; True if so many were."""
    kept = table(metadata, "idempotency")
    key = kept.c.tenant, kept.c.key
    old = select(*key).where(kept.c.created <= unit.now - KEPT).order_by(kept.c.created)
    gone = await unit.across(delete(kept).where(tuple_(*key).in_(old.limit(limit))))
    return gone.rowcount >= limit
