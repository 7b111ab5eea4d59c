"""What a lane takes into its hands: in one short transaction, in which it is looked up once more
who must not be written to."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, select, update

from martech.modules.delivery.contract import Reason
from martech.modules.delivery.domain.claims import Claim, Claimed, Forbidden, feedback, forbidden
from martech.modules.delivery.domain.commands import Deliver
from martech.modules.delivery.domain.ledger import Kept
from martech.modules.delivery.domain.pacing import Pace, pace, used
from martech.modules.delivery.domain.people import UNWANTED, Consent, granted_since
from martech.modules.delivery.domain.sends import Held, withdrawn
from martech.modules.delivery.domain.writing import Person, Texts
from martech.modules.delivery.service.rows import Rows
from martech.modules.delivery.tables import contents, messages, recipients, suppressions
from martech.modules.profiles import contract as profiles

NOTHING = Texts("", "", "")


class Due(NamedTuple):
    """A message that may be claimed."""

    id: UUID
    profile_id: UUID
    address: str
    state: Kept


class Known(NamedTuple):
    """What a mail says of a person, and where it may go."""

    profile_id: UUID
    traits: bytes
    address: str | None
    consent: profiles.Status | None
    consent_at: datetime | None
    merged_into: UUID | None

    @property
    def said(self) -> Consent | None:
        return Consent(self.consent, self.consent_at) if self.consent else None


DUE = tuple(messages.c[name] for name in Due._fields)
KNOWN = tuple(recipients.c[name] for name in Known._fields)


class Claiming(Rows):
    async def claim(self, held: Held, lane: int, most: int) -> Claim:
        """Up to *most* messages that are due, for *lane*; those who must not be written to are
        suppressed here. Nothing of a send that is paused, or whose version was withdrawn."""
        texts = await self._to_send(held) if held.status == "open" else None
        if texts is None:
            if held.status == "open":
                held.obstruct("content", withdrawn(held.content_version), self.tx.now)
            return self._claim(held, NOTHING, [], None)
        held.clear("content")
        allowed = self._allowed(held, most)
        due = await self._due(held, allowed.most)
        people = await self._today({row.profile_id for row in due})
        barred = await self._barred(due, people)
        taken = [row for row in due if row.id not in barred]
        await self._suppress(held, due, barred)
        await self._take(held, taken, lane)
        again_at: datetime | None = allowed.again_at or self.tx.now
        if held.rate is not None:
            held.used_until = used(allowed, held.rate, len(taken))
        if allowed.most and not due:
            again_at = await self._next(held)
        claimed = [
            Claimed(row.id, person_of(people[row.profile_id], row.profile_id, row.address))
            for row in taken
        ]
        more = 0 < allowed.most == len(due)
        return self._claim(held, texts, claimed, again_at, more=more)

    def again(self, held: Held, lane: int, seconds: float) -> None:
        """Go on with it in so many *seconds*, if that is to be."""
        if held.status == "open":
            command = Deliver(send_id=held.id, lane=lane)
            at = self.tx.now + timedelta(seconds=seconds)
            self.tx.enqueue(command, at=at, key=command.key)

    def share(self, held: Held, lane: int) -> None:
        """More is due than *lane* takes at once: the other lanes that it is worth come too."""
        self._wake(held, but=lane)

    async def _to_send(self, held: Held) -> Texts | None:
        """None when its version was withdrawn."""
        if held.content_version <= await self._withdrawn(held.content_id):
            return None
        return await self._texts(held)

    async def _texts(self, held: Held) -> Texts | None:
        """Withdrawn or not."""
        published = select(contents.c.subject, contents.c.html, contents.c.text).where(
            self._mine(contents),
            contents.c.content_id == held.content_id,
            contents.c.version == held.content_version,
        )
        row = (await self.tx.execute(published)).one_or_none()
        return None if row is None else Texts(row.subject, row.html, row.text)

    def _allowed(self, held: Held, most: int) -> Pace:
        if held.rate is None:
            return Pace(most, self.tx.now, None)
        return pace(held.rate, held.used_until, self.tx.now, most)

    async def _due(self, held: Held, most: int) -> list[Due]:
        """The longest waiting first."""
        if not most:
            return []
        waiting = select(*DUE).where(
            self._mine(messages),
            messages.c.send_id == held.id,
            messages.c.due_at.is_not(None),
            messages.c.due_at <= self.tx.now,
        )
        rows = await self.tx.execute(waiting.order_by(messages.c.due_at).limit(most))
        return [Due._make(row) for row in rows]

    async def _next(self, held: Held) -> datetime | None:
        """When the next one is due; None if none is waiting."""
        soonest = select(func.min(messages.c.due_at)).where(
            self._mine(messages),
            messages.c.send_id == held.id,
            messages.c.due_at.is_not(None),
        )
        moment: datetime | None = (await self.tx.execute(soonest)).scalar_one()
        return moment

    async def _today(self, ids: Iterable[UUID]) -> dict[UUID, Known]:
        """Those of *ids* whom we know, as who they are today."""
        found = await self._persons(ids)
        gone = {row.merged_into for row in found.values() if row.merged_into is not None}
        found |= await self._persons(gone - found.keys())
        return {id_: found.get(row.merged_into or id_, row) for id_, row in found.items()}

    async def _persons(self, ids: Iterable[UUID]) -> dict[UUID, Known]:
        mine = select(*KNOWN).where(self._mine(recipients))
        rows = await self.tx.among(mine, recipients.c.profile_id, sorted(ids))
        return {row.profile_id: Known._make(row) for row in rows}

    async def _barred(
        self, due: Sequence[Due], people: Mapping[UUID, Known]
    ) -> dict[UUID, Forbidden]:
        """Messages that must not be sent, and why."""
        addresses = sorted({row.address for row in due})
        suppressed, denied = await self._suppressed(addresses), await self._denied(addresses)
        gone = await self._leavers(people)
        barred = {}
        for row in due:
            person = people.get(row.profile_id)
            today = person.address if person else None
            left = person is not None and person.profile_id in gone
            reason = forbidden(row.address, today, suppressed=suppressed, denied=denied, left=left)
            if reason:
                barred[row.id] = reason
        return barred

    async def _suppressed(self, addresses: Sequence[str]) -> dict[str, Reason]:
        mine = select(suppressions.c.address, suppressions.c.reason).where(self._mine(suppressions))
        rows = await self.tx.among(mine, suppressions.c.address, addresses)
        return {row.address: row.reason for row in rows}

    async def _leavers(self, people: Mapping[UUID, Known]) -> set[UUID]:
        """Those of *people*, as who they are today, who wanted no more mails, under whatever name
        and at whatever address, and have not allowed it since."""
        today = {person.profile_id: person for person in people.values()}
        names = {id_: id_ for id_ in today} | await self._merged_into(today)
        mine = select(suppressions.c.profile_id, suppressions.c.since).where(
            self._mine(suppressions), suppressions.c.reason == UNWANTED
        )
        rows = await self.tx.among(mine, suppressions.c.profile_id, sorted(names))
        return {
            names[row.profile_id]
            for row in rows
            if not granted_since(today[names[row.profile_id]].said, row.since)
        }

    async def _merged_into(self, ids: Iterable[UUID]) -> dict[UUID, UUID]:
        """Who was merged into any of *ids*, and into whom."""
        gone = select(recipients.c.profile_id, recipients.c.merged_into).where(
            self._mine(recipients)
        )
        rows = await self.tx.among(gone, recipients.c.merged_into, sorted(ids))
        return {row.profile_id: row.merged_into for row in rows}

    async def _denied(self, addresses: Sequence[str]) -> set[str]:
        """Those of *addresses* that are somebody's who said no: people who share a mailbox share
        what is said of it."""
        mine = select(recipients.c.address).where(
            self._mine(recipients), recipients.c.consent == "denied"
        )
        rows = await self.tx.among(mine, recipients.c.address, addresses)
        return {row.address for row in rows}

    async def _suppress(
        self, held: Held, due: Sequence[Due], barred: Mapping[UUID, Forbidden]
    ) -> None:
        if not barred:
            return
        await self.tx.execute(
            update(messages)
            .where(self._mine(messages), messages.c.id == bindparam("b_id"))
            .values(
                state="suppressed",
                due_at=None,
                settled_at=self.tx.now,
                code=None,
                reason=bindparam("b_reason"),
            ),
            [{"b_id": id_, "b_reason": reason} for id_, reason in barred.items()],
        )
        for row in due:
            if row.id in barred:
                held.move("suppressed", out_of=row.state)

    async def _take(self, held: Held, taken: Sequence[Due], lane: int) -> None:
        if not taken:
            return
        claimed: Kept = "claimed"
        await self.tx.execute(
            update(messages)
            .where(self._mine(messages), messages.c.id == bindparam("b_id"))
            .values(state=claimed, due_at=None, lane=lane, claimed_at=self.tx.now),
            [{"b_id": row.id} for row in taken],
        )
        for row in taken:
            held.move("pending", out_of=row.state)

    def _claim(
        self,
        held: Held,
        texts: Texts,
        claimed: list[Claimed],
        again_at: datetime | None,
        *,
        more: bool = False,
    ) -> Claim:
        said = feedback(held.key.source, held.id, self.tx.tenant)
        return Claim(claimed, self.tx.now, texts, said, again_at, more)


def person_of(today: Known | None, profile_id: UUID, address: str) -> Person:
    """Whom it is to, as they are today; nobody we know has no traits."""
    if today is None:
        return Person(profile_id, address, b"{}")
    return Person(today.profile_id, address, today.traits)
