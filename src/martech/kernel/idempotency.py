"""Idempotency keys: the first answer to a request, kept in the transaction of its effect.

A client that got no answer sends the request again with the same ``Idempotency-Key`` and gets
the answer it missed. The answer and the effect are one commit: there is never one without
the other, on either database and across processes. Of two requests with one key at the same
moment one commits; the other is rolled back and given the first one's answer.
(draft-ietf-httpapi-idempotency-key-header)
"""

from __future__ import annotations

import re
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Column, Index, LargeBinary, MetaData, String, Table, delete, select

from martech.kernel.columns import UtcDateTime, tenant_column
from martech.kernel.errors import Conflict, Invalid, Malformed

if TYPE_CHECKING:  # the transaction's own schema holds our table
    from martech.kernel.db import Transaction

KEPT = timedelta(days=1)
"""How long an answer is kept, counted from the first request."""

LONGEST = 255

_KEY = re.compile(r'^"?([\x21\x23-\x7e]{1,255})"?$')


class Answer(msgspec.Struct, frozen=True):
    """What was answered, with the headers that belong to it (``content-type``, ``location``)."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Sent(msgspec.Struct, frozen=True):
    """A request that carries a key, and the fingerprint of everything it asks for."""

    key: str
    fingerprint: bytes


def idempotency_table(metadata: MetaData) -> Table:
    return Table(
        "idempotency",
        metadata,
        tenant_column(primary_key=True),
        Column("key", String(LONGEST), primary_key=True),
        Column("fingerprint", LargeBinary(32), nullable=False),
        Column("answer", LargeBinary, nullable=False),
        Column("created", UtcDateTime, nullable=False),
        Index(None, "tenant", "created"),
    )


def sent(header: str, method: str, target: str, body: bytes) -> Sent:
    """The request behind *header*; *target* is its path with the query. Raises `Malformed`."""
    match = _KEY.match(header)
    if match is None:
        raise Malformed(
            f"Idempotency-Key must be 1 to {LONGEST} visible ASCII characters. Send a UUID.",
            field="Idempotency-Key",
        )
    request = b"\0".join((method.encode(), target.encode(), body))
    return Sent(match[1], sha256(request).digest())


async def first_answer(tx: Transaction, metadata: MetaData, request: Sent) -> Answer | None:
    """The answer to the first request with this key; `Invalid` if that asked for something else."""
    table = _table(metadata)
    row = (
        await tx.execute(
            select(table.c.fingerprint, table.c.answer).where(
                table.c.tenant == tx.tenant,
                table.c.key == request.key,
                table.c.created > tx.now - KEPT,
            )
        )
    ).one_or_none()
    if row is None:
        return None
    if row.fingerprint != request.fingerprint:
        raise Invalid(
            "This Idempotency-Key came with another request before. Use one key for each request.",
            field="Idempotency-Key",
        )
    return msgspec.msgpack.decode(row.answer, type=Answer)


async def keep(tx: Transaction, metadata: MetaData, request: Sent, answer: Answer) -> None:
    """Keep *answer* if this transaction commits; `Conflict` if another request was first."""
    table = _table(metadata)
    await tx.execute(
        delete(table).where(table.c.tenant == tx.tenant, table.c.created <= tx.now - KEPT)
    )
    row = {
        "tenant": tx.tenant,
        "key": request.key,
        "fingerprint": request.fingerprint,
        "answer": msgspec.msgpack.encode(answer),
        "created": tx.now,
    }
    if not await tx.insert_new(table, [row], returning=["key"]):
        raise Conflict("A request with this Idempotency-Key is being processed. Send it again.")


def _table(metadata: MetaData) -> Table:
    return metadata.tables[f"{metadata.schema}.idempotency"]
