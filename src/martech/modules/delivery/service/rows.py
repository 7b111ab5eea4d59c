"""The rows that several use cases read and write."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Table, select, update

from martech.kernel.db import Transaction
from martech.kernel.errors import NotFound
from martech.modules.delivery.contract import Channel, Send, Status
from martech.modules.delivery.domain.commands import Deliver, lanes
from martech.modules.delivery.domain.ledger import NUMBERS, Key
from martech.modules.delivery.domain.people import Consent, Recipient
from martech.modules.delivery.domain.sends import Held, Kind, Problem
from martech.modules.delivery.tables import recipients, sends, withdrawals
from martech.modules.profiles import contract as profiles


class Opened(NamedTuple):
    """A send's row."""

    tenant: UUID
    id: UUID
    source: str
    occasion: str
    step: str
    channel: Channel
    name: str
    content_id: UUID
    content_version: int
    rate: float | None
    used_until: datetime | None
    status: Status
    sealed: bool
    problem: Kind | None
    problem_text: str
    problem_at: datetime
    opened_at: datetime
    completed_at: datetime | None


class Copied(NamedTuple):
    """A recipient's row."""

    profile_id: UUID
    traits: bytes
    address: str | None
    identity_kind: profiles.Kind | None
    identity_value: str
    consent: profiles.Status | None
    consent_at: datetime | None
    merged_into: UUID | None


HEAD = len(Opened._fields)
SEND = tuple(sends.c[name] for name in (*Opened._fields, *NUMBERS))
COPIED = tuple(recipients.c[name] for name in Copied._fields)

_traits = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Rows:
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    def _mine(self, table: Table) -> ColumnElement[bool]:
        return table.c.tenant == self.tx.tenant

    async def hold(self, send_id: UUID) -> Held:
        """The send, which nobody else changes until the commit. Raises `NotFound`."""
        held = await self._find(send_id, hold=True)
        if held is None:
            raise NotFound(f"There is no send {send_id}.")
        return held

    async def _find(self, send_id: UUID, *, hold: bool = False) -> Held | None:
        query = select(*SEND).where(self._mine(sends), sends.c.id == send_id)
        row = (await self.tx.execute(query.with_for_update() if hold else query)).one_or_none()
        return None if row is None else held_of(Opened._make(row[:HEAD]), row[HEAD:])

    async def finish(self, held: Held) -> Send:
        """Write down what was changed, and tell of it."""
        held.conclude(self.tx.now)
        before, after = held.loaded, held.state()
        if before == after:
            return held.view()
        problem = held.problem
        changed = update(sends).where(self._mine(sends), sends.c.id == held.id)
        await self.tx.execute(
            changed.values(
                rate=held.rate,
                used_until=held.used_until,
                status=held.status,
                sealed=held.sealed,
                problem=problem.kind if problem else None,
                problem_text=problem.text if problem else None,
                problem_at=problem.since if problem else None,
                completed_at=held.completed_at,
                **held.numbers,
            )
        )
        if before is None or before[1:] != after[1:]:  # more than the use of its rate
            self.tx.publish(held.progressed(self.tx.now))
        return held.view()

    def _wake(self, held: Held, *, but: int | None = None) -> None:
        """Have it sent, in as many lanes as it is worth; *but* is at work already."""
        waiting = held.numbers["pending"] + held.numbers["deferred"]
        if held.status == "open" and waiting:
            for lane in {*range(lanes(waiting, held.rate))} - {but}:
                command = Deliver(send_id=held.id, lane=lane)
                self.tx.enqueue(command, key=command.key)

    async def _withdrawn(self, content_id: UUID) -> int:
        """The highest of its versions that was withdrawn, and all before it; 0 for none."""
        highest = select(withdrawals.c.version).where(
            self._mine(withdrawals), withdrawals.c.content_id == content_id
        )
        version: int | None = (await self.tx.execute(highest)).scalar_one_or_none()
        return version or 0

    async def _people(self, ids: Iterable[UUID]) -> dict[UUID, tuple[UUID, Recipient]]:
        """Those of *ids* whom we know: who they are today, and what we know of them."""
        found = await self._recipients(ids)
        kept = {p.merged_into for p in found.values() if p.merged_into is not None}
        found |= await self._recipients(kept - found.keys())
        people = {}
        for id_ in ids:
            if (person := found.get(id_)) is not None:
                now = person.merged_into or id_
                people[id_] = now, found[now]
        return people

    async def _recipients(self, ids: Iterable[UUID]) -> dict[UUID, Recipient]:
        mine = select(*COPIED).where(self._mine(recipients))
        rows = await self.tx.among(mine, recipients.c.profile_id, sorted(set(ids)))
        return {row.profile_id: recipient(Copied._make(row)) for row in rows}


def recipient(row: Copied) -> Recipient:
    identity = (
        profiles.Identity(row.identity_kind, row.identity_value) if row.identity_kind else None
    )
    consent = Consent(row.consent, row.consent_at) if row.consent else None
    return Recipient(_traits(row.traits), row.address, identity, consent, row.merged_into)


def held_of(row: Opened, numbers: Sequence[int]) -> Held:
    problem = row.problem and Problem(row.problem, row.problem_text, row.problem_at)
    held = Held(
        key=Key(row.tenant, row.source, row.occasion, row.step, row.channel),
        id=row.id,
        channel=row.channel,
        name=row.name,
        content_id=row.content_id,
        content_version=row.content_version,
        rate=row.rate,
        used_until=row.used_until,
        status=row.status,
        sealed=row.sealed,
        problem=problem,
        opened_at=row.opened_at,
        completed_at=row.completed_at,
        numbers=dict(zip(NUMBERS, numbers, strict=True)),
    )
    held.loaded = held.state()
    return held
