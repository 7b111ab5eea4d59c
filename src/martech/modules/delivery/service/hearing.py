"""Our own copies of what others tell: people, and what is published."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec
from sqlalchemy import Row, bindparam, delete, select, update

from martech.modules.content.contract import ContentPublished, ContentWithdrawn
from martech.modules.delivery.domain.people import Granted, Heard, Recipient, hear
from martech.modules.delivery.service.rows import COPIED, Copied, Rows, recipient
from martech.modules.delivery.tables import contents, recipients, sends, suppressions
from martech.modules.profiles.contract import ProfilesMerged

WRITTEN = ("traits", "address", "identity_kind", "identity_value", "consent", "merged_into")

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
        """Versions never change; a withdrawal concerns all of them, until the next one."""
        for fact in told:
            if isinstance(fact, ContentPublished):
                row = {"tenant": self.tx.tenant, "withdrawn": False, **msgspec.structs.asdict(fact)}
                await self.tx.insert_new(contents, [row], returning=["version"])
            mine = self._mine(contents), contents.c.content_id == fact.content_id
            withdrawn = isinstance(fact, ContentWithdrawn)
            await self.tx.execute(update(contents).where(*mine).values(withdrawn=withdrawn))
        await self._go_on({fact.content_id for fact in told})

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
            "consent": person.consent,
            "merged_into": person.merged_into,
        }

    async def _lift(self, granted: Sequence[Granted]) -> None:
        if granted:
            await self.tx.execute(
                delete(suppressions).where(
                    self._mine(suppressions),
                    suppressions.c.address == bindparam("b_address"),
                    suppressions.c.reason == "unsubscribed",
                    suppressions.c.since < bindparam("b_at"),
                ),
                [{"b_address": each.address, "b_at": each.at} for each in granted],
            )

    async def _go_on(self, content_ids: set[UUID]) -> None:
        """Sends that wait for them may go on, or find that they may not. They are held in the
        order of their ids, as everybody holds several."""
        waiting = select(sends.c.id).where(
            self._mine(sends), sends.c.content_id.in_(sorted(content_ids)), sends.c.status == "open"
        )
        found: Sequence[Row[tuple[UUID]]] = (
            await self.tx.execute(waiting.order_by(sends.c.id))
        ).all()
        for row in found:
            self._wake(await self.hold(row.id))
