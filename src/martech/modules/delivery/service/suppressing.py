"""Addresses that nothing is sent to."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, or_, select

from martech.kernel.errors import Invalid, NotFound
from martech.kernel.paging import Word, cursor, place
from martech.modules.delivery.contract import Reason, Suppression, Suppressions
from martech.modules.delivery.domain.people import known_address
from martech.modules.delivery.service.linking import Linking
from martech.modules.delivery.tables import suppressions


class Barred(NamedTuple):
    """Why nothing is sent to an address."""

    address: str
    reason: Reason
    since: datetime
    source: str


BARRED = tuple(suppressions.c[name] for name in Barred._fields)


class Suppressing(Linking):
    async def suppress(self, address: str, *, source: str) -> Suppression:
        """By hand, whatever else forbids it; what was suppressed by hand already stays so since
        then."""
        text = _normalised(address)
        row = {
            "tenant": self.tx.tenant,
            "address": text,
            "reason": "manual",
            "since": self.tx.now,
            "source": source,
        }
        await self.tx.insert_new(suppressions, [row], returning=["address"])
        self.tx.audit("suppression.added", await self.pseudonym(text), source=source)
        return next(each for each in await self.suppressed(text) if each.reason == "manual")

    async def suppressed(self, address: str) -> list[Suppression]:
        """Why nothing is sent there, the oldest reason first."""
        mine = select(*BARRED).where(
            self._mine(suppressions), suppressions.c.address == _normalised(address)
        )
        found = await self.tx.execute(mine.order_by(suppressions.c.since))
        rows = [Barred._make(row) for row in found]
        return [_suppression(row) for row in rows]

    async def suppressions(self, *, after: str | None = None, limit: int = 100) -> Suppressions:
        """By address."""
        mine = select(*BARRED).where(self._mine(suppressions))
        if after is not None:
            address, reason = place(after, tuple[Word, Word])
            same = (suppressions.c.address == address) & (suppressions.c.reason > reason)
            mine = mine.where(or_(suppressions.c.address > address, same))
        ordered = mine.order_by(suppressions.c.address, suppressions.c.reason).limit(limit + 1)
        rows = [Barred._make(row) for row in await self.tx.execute(ordered)]
        end = None
        if len(rows) > limit:
            end = cursor(rows[limit - 1].address, rows[limit - 1].reason)
        return Suppressions(data=[_suppression(row) for row in rows[:limit]], next=end)

    async def lift_suppression(self, address: str) -> None:
        """Whatever the reason was. Raises `NotFound`."""
        text = _normalised(address)
        gone = delete(suppressions).where(self._mine(suppressions), suppressions.c.address == text)
        found = (await self.tx.execute(gone.returning(suppressions.c.reason))).scalars().all()
        if not found:
            raise NotFound("This address is not suppressed.", field="address")
        self.tx.audit("suppression.lifted", await self.pseudonym(text), reasons=sorted(found))


def _normalised(address: str) -> str:
    found = known_address(address.strip())
    if found is None:
        raise Invalid("This is no address that mail can be sent to.", field="address")
    return found.text


def _suppression(row: Barred) -> Suppression:
    return Suppression(address=row.address, reason=row.reason, since=row.since, source=row.source)
