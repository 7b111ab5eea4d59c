"""The rows that several use cases read."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Table, func, select

from martech.kernel.db import Transaction
from martech.kernel.errors import NotFound
from martech.modules.profiles import domain
from martech.modules.profiles.contract import ConsentChanged, Kind
from martech.modules.profiles.domain import Fact
from martech.modules.profiles.tables import consents, counts, identities, profiles

KINDS: tuple[Kind, ...] = ("user_id", "email", "anonymous_id")
FACT = tuple(consents.c[name] for name in ("identity", *Fact._fields))


class Name(NamedTuple):
    """An identity's row: one name of a person."""

    id: int
    kind: Kind
    value: str
    profile_id: UUID


NAME = tuple(identities.c[name] for name in Name._fields)

stored = msgspec.json.Decoder(dict[str, domain.Written])


class Rows:
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    def _mine(self, table: Table) -> tuple[ColumnElement[bool]]:
        return (table.c.tenant == self.tx.tenant,)

    async def _alone(self) -> None:
        """Until the commit nobody else changes this tenant's people: who decides by what is on
        record begins with this."""
        mine = select(counts.c.tenant).where(*self._mine(counts))
        await self.tx.execute(mine.with_for_update())

    async def _kept(self, profile_id: UUID) -> UUID:
        """The id itself, or the one it was merged into."""
        mine = select(profiles.c.merged_into).where(
            *self._mine(profiles), profiles.c.id == profile_id
        )
        row = (await self.tx.execute(mine)).one_or_none()
        if row is None:
            raise NotFound(f"There is no person {profile_id}.")
        return row.merged_into or profile_id

    async def _names(self, people: Sequence[UUID]) -> dict[UUID, list[Name]]:
        """The rows of everybody's names, the strongest first."""
        names: dict[UUID, list[Name]] = {number: [] for number in people}
        mine = select(*NAME).where(*self._mine(identities))
        for row in await self.tx.among(mine, identities.c.profile_id, people):
            names[row.profile_id].append(Name._make(row))
        for rows in names.values():
            rows.sort(key=lambda row: (KINDS.index(row.kind), row.id))
        return names

    async def _facts(self, people: Iterable[UUID]) -> dict[UUID, list[Fact]]:
        """What each name of theirs said last of each channel. One of these holds, of however many
        facts."""
        facts: dict[UUID, list[Fact]] = {}
        names = await self._names(sorted(people))
        owners = {name.id: name.profile_id for theirs in names.values() for name in theirs}
        last = func.row_number().over(
            partition_by=(consents.c.identity, consents.c.channel),
            order_by=(consents.c.at.desc(), consents.c.status, consents.c.source.desc()),
        )
        each = select(*FACT, last.label("rank")).where(*self._mine(consents)).subquery()
        mine = select(each).where(each.c.rank == 1)
        for row in await self.tx.among(mine, each.c.identity, sorted(owners)):
            fact = Fact(row.channel, row.status, row.at, row.source)
            facts.setdefault(owners[row.identity], []).append(fact)
        return facts

    async def _keep_facts(self, facts: Sequence[tuple[int, Fact]]) -> None:
        fixed = {"tenant": self.tx.tenant, "recorded_at": self.tx.now}
        rows = [{"identity": number, **fixed, **fact._asdict()} for number, fact in facts]
        await self.tx.insert(consents, rows)

    def _tell(self, profile_id: UUID, fact: Fact) -> None:
        self.tx.publish(
            ConsentChanged(
                profile_id=profile_id, channel=fact.channel, status=fact.status, at=fact.at
            )
        )
