"""A town whose people do things, as profiles would tell of it; an oracle hears all of it too."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import select

from martech.kernel.bus import Bus
from martech.kernel.clock import TestClock
from martech.kernel.columns import table
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.messages import Event
from martech.modules.personalization.contract import SegmentChange, SegmentChanged
from martech.modules.profiles.contract import (
    Activity,
    ActivityRecorded,
    Identity,
    ProfileChange,
    ProfileChanged,
    ProfilesMerged,
)
from tests.modules.personalization.oracle import Oracle


class Town:
    def __init__(self, host: Host, clock: TestClock, tenant: UUID | None = None) -> None:
        self.host = host
        self.clock = clock
        self.tenant = tenant or uuid4()
        self.oracle = Oracle()
        self.told: list[Event] = []
        self.number = 0

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def act(
        self, person: UUID, event: str = "Order Completed", ago: float = 0, **properties: Any
    ) -> None:
        """*ago* is in hours."""
        self.number += 1
        at = self.now - timedelta(hours=ago)
        self.oracle.act(person, event, at, properties)
        activity = Activity(
            profile_id=person,
            identity=Identity("user_id", str(person)),
            message_id=f"m{self.number}",
            type="track",
            event=event,
            timestamp=at,
            received_at=self.now,
            properties=msgspec.Raw(msgspec.json.encode(properties)),
        )
        self.told.append(ActivityRecorded(items=[activity]))

    def change(self, person: UUID, **traits: Any) -> None:
        self.oracle.change(person, traits)
        raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in traits.items()}
        change = ProfileChange(profile_id=person, traits=raw, identities=[])
        self.told.append(ProfileChanged(items=[change]))

    def merge(self, kept: UUID, merged: UUID) -> None:
        self.oracle.merge(kept, merged)
        self.told.append(ProfilesMerged(kept=kept, merged=merged))

    async def tell(self) -> None:
        """Have profiles tell what happened since."""
        async with self.host.databases["profiles"].transaction(self.tenant) as tx:
            for event in self.told:
                tx.publish(event)
        self.told = []

    async def hear(self) -> None:
        """Have it told, and heard."""
        await self.tell()
        await Bus(self.host).settle()

    async def work(self) -> None:
        await Jobs(self.host).settle()

    async def settle(self) -> None:
        await self.hear()
        await self.work()

    async def define(self, condition: object, name: str = "some") -> UUID:
        async with self.host.unit("personalization", self.tenant) as service:
            made: UUID = (await service.create_segment(name, condition)).id
            return made

    async def members(self, segment_id: UUID, limit: int = 1000) -> set[UUID]:
        """As the port tells, page by page."""
        found: list[UUID] = []
        after = None
        while True:
            async with self.host.unit("personalization", self.tenant, write=False) as service:
                page = await service.members(segment_id, after=after, limit=limit)
                assert (await service.segment(segment_id)).size >= len(found)
            found += page.data
            if page.next is None:
                assert found == sorted(set(found))
                return set(found)
            after = page.next

    async def changes(self) -> list[SegmentChange]:
        """All that was told, in order."""
        database = self.host.databases["personalization"]
        outbox = table(database.metadata, "outbox")
        async with database.across(write=False) as connection:
            rows = await connection.execute(
                select(outbox.c.data)
                .where(outbox.c.tenant == self.tenant)
                .order_by(outbox.c.position)
            )
            told = [msgspec.json.decode(row.data, type=SegmentChanged) for row in rows]
        return [item for event in told for item in event.items]

    async def followed(self) -> dict[UUID, set[UUID]]:
        """Who belongs to what for somebody who only listens."""
        inside: dict[UUID, set[UUID]] = {}
        for change in await self.changes():
            mine = inside.setdefault(change.segment_id, set())
            assert (change.profile_id in mine) == (change.change == "exited"), change
            (mine.remove if change.change == "exited" else mine.add)(change.profile_id)
        return inside

    async def check(self, conditions: Mapping[UUID, object]) -> None:
        """Everything agrees: what is kept, what was told, the sizes, and counting anew."""
        followed = await self.followed()
        assert {id_ for id_, some in followed.items() if some} <= conditions.keys()
        for segment_id, condition in conditions.items():
            wanted = self.oracle.members(condition, self.now)
            assert await self.members(segment_id) == wanted, condition
            assert followed.get(segment_id, set()) == wanted
            async with self.host.unit("personalization", self.tenant, write=False) as service:
                segment = await service.segment(segment_id)
            assert (segment.size, segment.ready, segment.progress) == (len(wanted), True, 1)

    async def rows(self, name: str, *without: str) -> Sequence[tuple[Any, ...]]:
        """Of one table of personalization, sorted."""
        database = self.host.databases["personalization"]
        rows = table(database.metadata, name)
        columns = [c for c in rows.c if c.name not in ("tenant", *without)]
        async with database.across(write=False) as connection:
            found = await connection.execute(select(*columns).where(rows.c.tenant == self.tenant))
            return sorted(map(tuple, found.all()), key=repr)
