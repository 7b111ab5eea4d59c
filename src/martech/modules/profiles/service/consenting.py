"""What people allow."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from martech.kernel.errors import Invalid
from martech.modules.profiles import domain
from martech.modules.profiles.contract import Consent, Consents, Statement, Status
from martech.modules.profiles.domain import Fact
from martech.modules.profiles.service.rows import Rows
from martech.modules.profiles.tables import profiles

AHEAD = timedelta(minutes=5)  # how far a caller's clock may be ahead of ours
MOST = 500  # facts that are recorded at once


class Consenting(Rows):
    async def record_consent(
        self,
        profile_id: UUID,
        channel: str,
        status: Status,
        *,
        source: str,
        at: datetime | None = None,
    ) -> Consent:
        now = self.tx.now
        said = Fact(channel, status, at or now, source)
        self._check(said)
        fact = said._replace(at=min(said.at, now))  # or it outdid what is said until then
        await self._alone()
        profile_id = await self._kept(profile_id)
        facts = await self._record_facts([(profile_id, fact)])
        return _consent(domain.holding(facts[profile_id])[channel])

    async def record_consents(self, said: list[Statement]) -> int:
        if len(said) > MOST:
            raise Invalid(f"These are {len(said):,}; send at most {MOST} at once.", field="said")
        now = self.tx.now  # refused for a neighbour's clock, all behind it would wait
        facts = [
            (each.profile_id, Fact(each.channel, each.status, min(each.at, now), each.source))
            for each in said
        ]
        for _, fact in facts:
            self._check(fact)
        await self._alone()
        kept = await self._kept_of({each.profile_id for each in said})
        known = [(kept[id_], fact) for id_, fact in facts if id_ in kept]
        await self._record_facts(known)
        return len(known)

    async def consents(self, profile_id: UUID) -> Consents:
        profile_id = await self._kept(profile_id)
        holding = domain.holding((await self._facts([profile_id])).get(profile_id, []))
        return Consents(data=[_consent(holding[channel]) for channel in sorted(holding)])

    def _check(self, fact: Fact) -> None:
        if not domain.is_channel(fact.channel):
            raise Invalid(
                f"{fact.channel[:80]!r} is no channel. Use lower case letters, digits and any of "
                "'_.-'.",
                field="channel",
            )
        if not domain.EPOCH <= fact.at <= self.tx.now + AHEAD:
            raise Invalid(
                "Nobody can have said this then. Send a time that has been, after 1970.", field="at"
            )

    async def _kept_of(self, ids: Iterable[UUID]) -> dict[UUID, UUID]:
        """Of those of *ids* that are people: the id itself, or the one it was merged into."""
        mine = select(profiles.c.id, profiles.c.merged_into).where(*self._mine(profiles))
        rows = await self.tx.among(mine, profiles.c.id, sorted(ids))
        return {row.id: row.merged_into or row.id for row in rows}

    async def _record_facts(self, said: Sequence[tuple[UUID, Fact]]) -> dict[UUID, list[Fact]]:
        """Keep what each said, and tell of what changes by it; all that they ever said."""
        people = sorted({id_ for id_, _ in said})
        names = await self._names(people)
        facts = await self._facts(people)
        await self._keep_facts([(names[id_][0].id, fact) for id_, fact in said])
        for id_, fact in said:
            before = facts.setdefault(id_, [])
            for changed in domain.differing(before, [*before, fact]):
                self._tell(id_, changed)
            before.append(fact)
            about = {"channel": fact.channel, "status": fact.status, "at": fact.at}
            self.tx.audit("consent.recorded", str(id_), **about)
        return facts


def _consent(fact: Fact) -> Consent:
    return Consent(channel=fact.channel, status=fact.status, at=fact.at, source=fact.source)
