"""Our own copies of what others tell: people, and what is published."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec
from sqlalchemy import Row, bindparam, delete, func, select

from martech.modules.content.contract import ContentPublished, ContentWithdrawn
from martech.modules.delivery.domain.people import (
    UNWANTED,
    Consent,
    Heard,
    Left,
    Recipient,
    hear,
    taken_back,
)
from martech.modules.delivery.service.rows import COPIED, Copied, Rows, recipient
from martech.modules.delivery.tables import (
    contents,
    recipients,
    sends,
    suppressions,
    withdrawals,
)
from martech.modules.profiles.contract import ProfilesMerged

WRITTEN = tuple(name for name in Copied._fields if name != "profile_id")
LEFT = tuple(suppressions.c[name] for name in Left._fields)

_encode = msgspec.json.Encoder().encode


class Hearing(Rows):
    async def remember(self, heard: Sequence[Heard]) -> None:
        """Keep what profiles tell of people; lift what forbade to write to those who allow it."""
        people = await self._mentioned(heard)
        granted = hear(people, heard)
        await self.tx.upsert(
            recipients,
            [self._written(id_, person) for id_, person in sorted(people.items())],
            keys=["tenant", "profile_id"],
            update=WRITTEN,
        )
        await self._lift(granted)

    async def keep_content(self, told: Sequence[ContentPublished | ContentWithdrawn]) -> None:
        """Versions never change, and what was withdrawn stays so: in whatever order and however
        often it is told, it comes to the same."""
        for fact in told:
            if isinstance(fact, ContentPublished):
                row = {"tenant": self.tx.tenant, **msgspec.structs.asdict(fact)}
                await self.tx.insert_new(contents, [row], returning=["version"])
            else:
                await self._withdraw(fact)
        gone = {fact.content_id for fact in told if isinstance(fact, ContentWithdrawn)}
        await self._look_up(gone)

    async def _withdraw(self, fact: ContentWithdrawn) -> None:
        """All versions up to the one it names; up to the last that is known, if it names none."""
        known = select(func.max(contents.c.version)).where(
            self._mine(contents), contents.c.content_id == fact.content_id
        )
        version = fact.version
        if version is None:
            version = (await self.tx.execute(known)).scalar_one() or 0
        highest = max(version, await self._withdrawn(fact.content_id))
        row = {"tenant": self.tx.tenant, "content_id": fact.content_id, "version": highest}
        keys = ["tenant", "content_id"]
        await self.tx.upsert(withdrawals, [row], keys=keys, update=["version"])

    async def _mentioned(self, heard: Iterable[Heard]) -> dict[UUID, Recipient]:
        """Everybody of whom something is said, and who was merged into them before."""
        ids: set[UUID] = set()
        gone: set[UUID] = set()
        for fact in heard:
            if isinstance(fact, ProfilesMerged):
                ids |= {fact.kept, fact.merged}
                gone.add(fact.merged)
            else:
                ids.add(fact.profile_id)
        people = await self._recipients(ids)
        mine = select(*COPIED).where(self._mine(recipients))
        for row in await self.tx.among(mine, recipients.c.merged_into, sorted(gone)):
            people[row.profile_id] = recipient(Copied._make(row))
        return {id_: Recipient() for id_ in ids} | people

    def _written(self, id_: UUID, person: Recipient) -> dict[str, object]:
        identity = person.identity
        return {
            "tenant": self.tx.tenant,
            "profile_id": id_,
            "traits": _encode(person.traits),
            "address": person.address,
            "identity_kind": identity.kind if identity else None,
            "identity_value": identity.value if identity else None,
            "consent": person.consent.status if person.consent else None,
            "consent_at": person.consent.at if person.consent else None,
            "merged_into": person.merged_into,
        }

    async def _lift(self, granted: Iterable[str]) -> None:
        """Of the addresses that somebody allows, those that everybody does whom it concerns."""
        mine = select(*LEFT).where(self._mine(suppressions), suppressions.c.reason == UNWANTED)
        there = mine.with_for_update()
        rows = await self.tx.among(there, suppressions.c.address, sorted(granted))
        left = [Left._make(row) for row in rows]
        theirs = await self._consents_at([each.address for each in left])
        whose = {each.profile_id for each in left if each.profile_id is not None}
        people = await self._people(whose)
        for each in left:
            if each.profile_id is not None:
                _, person = people.get(each.profile_id, (None, Recipient()))
                theirs[each.address].append(person.consent)
        if back := [each.address for each in left if taken_back(each, theirs[each.address])]:
            gone = delete(suppressions).where(
                self._mine(suppressions),
                suppressions.c.address == bindparam("b_address"),
                suppressions.c.reason == UNWANTED,
            )
            await self.tx.execute(gone, [{"b_address": address} for address in back])

    async def _consents_at(
        self, addresses: Sequence[str]
    ) -> defaultdict[str, list[Consent | None]]:
        """What those said who have these addresses today."""
        mine = select(recipients.c.address, recipients.c.consent, recipients.c.consent_at)
        mine = mine.where(self._mine(recipients))
        theirs: defaultdict[str, list[Consent | None]] = defaultdict(list)
        for row in await self.tx.among(mine, recipients.c.address, addresses):
            said = Consent(row.consent, row.consent_at) if row.consent else None
            theirs[row.address].append(said)
        return theirs

    async def _look_up(self, content_ids: set[UUID]) -> None:
        """Their sends are to find that they may not go on, and say so, if they wait for a time.
        They are held in the order of their ids, as everybody holds several."""
        waiting = select(sends.c.id).where(
            self._mine(sends), sends.c.content_id.in_(sorted(content_ids)), sends.c.status == "open"
        )
        found: Sequence[Row[tuple[UUID]]] = (
            await self.tx.execute(waiting.order_by(sends.c.id))
        ).all()
        for row in found:
            self._wake(await self.hold(row.id))
