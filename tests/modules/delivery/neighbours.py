"""Tracking, profiles and content as delivery meets them: it hears what a test has them tell, and
what it asks of tracking and profiles is kept."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import Column, Integer, String, Table, select

from martech.kernel.columns import Id, tenant_column
from martech.kernel.db import Transaction, module_metadata
from martech.kernel.module import Module
from martech.modules.profiles.contract import Profiles, Statement
from martech.modules.tracking.contract import (
    EventsTracked,
    Occurrence,
    Tally,
    TrackedEvent,
    Tracking,
)
from tests.neighbours import neighbour

behaviour = module_metadata("tracking")
seen = Table(
    "seen",
    behaviour,
    tenant_column(primary_key=True),
    Column("message_id", String, primary_key=True),
    Column("times", Integer, nullable=False),
)


class Tracker(Tracking):
    """Takes whatever it is told, and tells of it once."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    async def track(self, occurrences: list[Occurrence]) -> Tally:
        ids = [each.message_id for each in occurrences]
        mine = select(seen.c.message_id).where(seen.c.tenant == self.tx.tenant)
        old = {row.message_id for row in await self.tx.among(mine, seen.c.message_id, ids)}
        rows = [{"tenant": self.tx.tenant, "message_id": id_, "times": 1} for id_ in ids]
        await self.tx.upsert(seen, rows, keys=["tenant", "message_id"], add=["times"])
        items = [self._tracked(each) for each in occurrences if each.message_id not in old]
        if items:
            self.tx.publish(EventsTracked(items=items))
        received, accepted = len(occurrences), len(items)
        return Tally(received=received, accepted=accepted, duplicate=received - accepted)

    async def tally(self) -> Tally:
        """Of everything there ever was."""
        mine = select(seen.c.times).where(seen.c.tenant == self.tx.tenant)
        times = (await self.tx.execute(mine)).scalars().all()
        received, accepted = sum(times), len(times)
        return Tally(received=received, accepted=accepted, duplicate=received - accepted)

    def _tracked(self, said: Occurrence) -> TrackedEvent:
        return TrackedEvent(
            message_id=said.message_id,
            type="track",
            person_key=f"user:{said.user_id}" if said.user_id else f"anonymous:{said.anonymous_id}",
            timestamp=said.timestamp,
            received_at=self.tx.now,
            user_id=said.user_id,
            anonymous_id=said.anonymous_id,
            event=said.event,
            properties=msgspec.Raw(msgspec.json.encode(said.properties)),
        )


registry = module_metadata("profiles")
known = Table(
    "known",
    registry,
    tenant_column(primary_key=True),
    Column("profile_id", Id, primary_key=True),
)
consents = Table(
    "consents",
    registry,
    tenant_column(primary_key=True),
    Column("profile_id", Id, primary_key=True),
    Column("channel", String, primary_key=True),
    Column("status", String, nullable=False),
)


class Registry(Profiles):
    """Keeps what people said last, of those it knows."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    async def know(self, people: Sequence[UUID]) -> None:
        rows = [{"tenant": self.tx.tenant, "profile_id": person} for person in people]
        await self.tx.insert_new(known, rows, returning=["profile_id"])

    async def record_consents(self, said: list[Statement]) -> int:
        mine = select(known.c.profile_id).where(known.c.tenant == self.tx.tenant)
        there = set((await self.tx.execute(mine)).scalars())
        rows = [
            {
                "tenant": self.tx.tenant,
                "profile_id": each.profile_id,
                "channel": each.channel,
                "status": each.status,
            }
            for each in said
            if each.profile_id in there
        ]
        keys = ["tenant", "profile_id", "channel"]
        await self.tx.upsert(consents, rows, keys=keys, update=["status"])
        return len(rows)

    async def said(self, person: UUID) -> dict[str, str]:
        """Channel -> what holds."""
        mine = select(consents.c.channel, consents.c.status).where(
            consents.c.tenant == self.tx.tenant, consents.c.profile_id == person
        )
        return {row.channel: row.status for row in await self.tx.execute(mine)}


NEIGHBOURS = (
    Module(port=Tracking, service=Tracker, tables=behaviour),
    Module(port=Profiles, service=Registry, tables=registry),
    neighbour("content"),
)
