"""What people allow."""

from datetime import datetime, timedelta
from uuid import UUID

from martech.kernel.errors import Invalid
from martech.modules.profiles import domain
from martech.modules.profiles.contract import Consent, Consents, Status
from martech.modules.profiles.domain import Fact
from martech.modules.profiles.service.rows import Rows

AHEAD = timedelta(minutes=5)  # how far a caller's clock may be ahead of ours


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
        if not domain.is_channel(channel):
            raise Invalid(
                f"{channel[:80]!r} is no channel. Use lower case letters, digits and any of '_.-'.",
                field="channel",
            )
        at = at or self.tx.now
        if not domain.EPOCH <= at <= self.tx.now + AHEAD:
            raise Invalid(
                "Nobody can have said this then. Send a time that has been, after 1970.", field="at"
            )
        await self._alone()
        profile_id = await self._kept(profile_id)
        names = await self._names([profile_id])
        before = (await self._facts([profile_id])).get(profile_id, [])
        fact = Fact(channel, status, at, source)
        await self._keep_facts([(names[profile_id][0].id, fact)])
        for changed in domain.differing(before, [*before, fact]):
            self._tell(profile_id, changed)
        self.tx.audit("consent.recorded", str(profile_id), channel=channel, status=status, at=at)
        return _consent(domain.holding([*before, fact])[channel])

    async def consents(self, profile_id: UUID) -> Consents:
        profile_id = await self._kept(profile_id)
        holding = domain.holding((await self._facts([profile_id])).get(profile_id, []))
        return Consents(data=[_consent(holding[channel]) for channel in sorted(holding)])


def _consent(fact: Fact) -> Consent:
    return Consent(channel=fact.channel, status=fact.status, at=fact.at, source=fact.source)
