"""Keeps what is tracked. Here is the volume: however many items a batch has, it runs the same
handful of statements over all of them; what only new names or merges need, only where there are
some."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import msgspec
from sqlalchemy import bindparam, select, update

from martech.modules.profiles import domain
from martech.modules.profiles.contract import (
    EMPTY,
    Activity,
    ActivityRecorded,
    Identity,
    ProfileChanged,
    ProfilesMerged,
)
from martech.modules.profiles.domain import Fact, Key, Known, Person, Plan, Traits
from martech.modules.profiles.service.rows import KINDS, NAME, Rows, stored
from martech.modules.profiles.tables import activities, consents, counts, identities, profiles
from martech.modules.tracking.contract import TrackedEvent

PERSON = tuple(profiles.c[name] for name in ("id", "first_seen", "identified"))

_encode = msgspec.json.Encoder(order="deterministic").encode


class Recording(Rows):
    async def record(self, items: Sequence[TrackedEvent]) -> None:
        """Find or make the person of each item, keep what it says, and tell of it."""
        await self._alone()
        reading = domain.read(items)
        known, numbers = await self._known(reading.keys)
        plan = domain.resolve(self.tx.tenant, known, items, reading.said)
        merging = {person.id for pair in plan.merges for person in pair}
        before = await self._traits(merging | domain.speakers(plan, reading.said))
        after = domain.traits_after(before, plan, items, reading.said)
        facts = await self._bounded(domain.facts(plan, items, reading.said), numbers)
        held = await self._facts(merging | {person.root().id for _, person, _ in facts})
        await self._keep_people(plan, after)
        numbers |= await self._keep_names(plan)
        await self._keep_facts([(numbers[key], fact) for key, _, fact in facts])
        done = await self._keep_activities(items, plan, numbers)
        for kept, gone in plan.merges:
            self.tx.publish(ProfilesMerged(kept=kept.root().id, merged=gone.id))
        self.tx.publish(ProfileChanged(items=domain.changes(plan, before, after)))
        for profile_id, fact in domain.consent_changes(plan, held, facts):
            self._tell(profile_id, fact)
        self.tx.publish(ActivityRecorded(items=done))

    async def _known(self, keys: set[Key]) -> tuple[dict[Key, Known], dict[Key, int]]:
        """Those of *keys* that are on record: whose they are, and the numbers of their rows."""
        owned: dict[Key, tuple[UUID, bool]] = {}
        numbers: dict[Key, int] = {}
        mine = select(*NAME, identities.c.shared).where(*self._mine(identities))
        for kind in KINDS:
            values = sorted(value for other, value in keys if other == kind)
            theirs = mine.where(identities.c.kind == kind)
            for row in await self.tx.among(theirs, identities.c.value, values):
                key = kind, row.value
                numbers[key] = row.id
                owned[key] = row.profile_id, row.shared
        people = select(*PERSON).where(*self._mine(profiles))
        ids = sorted({profile_id for profile_id, _ in owned.values()})
        found = {
            row.id: (row.first_seen, row.identified)
            for row in await self.tx.among(people, profiles.c.id, ids)
        }
        return {
            key: Known(id_, *found[id_], shared) for key, (id_, shared) in owned.items()
        }, numbers

    async def _bounded(
        self, facts: list[tuple[Key, Person, Fact]], numbers: Mapping[Key, int]
    ) -> list[tuple[Key, Person, Fact]]:
        keys = {numbers[key]: key for key, _, _ in facts if key in numbers}
        mine = select(consents.c.identity, consents.c.channel).where(*self._mine(consents))
        spoken: dict[Key, set[str]] = {}
        for row in await self.tx.among(mine.distinct(), consents.c.identity, sorted(keys)):
            spoken.setdefault(keys[row.identity], set()).add(row.channel)
        return domain.bounded(facts, spoken)

    async def _traits(self, people: Iterable[UUID]) -> dict[UUID, Traits]:
        mine = select(profiles.c.id, profiles.c.traits).where(*self._mine(profiles))
        rows = await self.tx.among(mine, profiles.c.id, sorted(people))
        return {row.id: stored.decode(row.traits) for row in rows}

    async def _keep_people(self, plan: Plan, after: Mapping[UUID, Traits]) -> None:
        whole, aged = [], []
        for person in plan.people.values():
            row = {"first_seen": person.first_seen, "identified": person.identified}
            if person.new or person.id in after:
                row |= {
                    "tenant": self.tx.tenant,
                    "id": person.id,
                    "traits": _encode(after.get(person.id, {})),
                    "merged_into": person.root().id if person.into else None,
                }
                whole.append(row)
            elif person.changed:
                aged.append(row | {"number": person.id})
        update_also = ["first_seen", "identified", "traits", "merged_into"]
        await self.tx.upsert(profiles, whole, keys=["tenant", "id"], update=update_also)
        if aged:
            one = profiles.c.id == bindparam("number")
            await self.tx.execute(update(profiles).where(*self._mine(profiles), one), aged)
        moves = [{"gone": gone.id, "kept": gone.root().id} for _, gone in plan.merges]
        for table, column in ((profiles, "merged_into"), (identities, "profile_id")):
            if moves:
                theirs = table.c[column] == bindparam("gone")
                move = update(table).where(*self._mine(table), theirs)
                await self.tx.execute(move.values({column: bindparam("kept")}), moves)

    async def _keep_names(self, plan: Plan) -> dict[Key, int]:
        """The numbers of the new names."""
        rows = [
            {
                "tenant": self.tx.tenant,
                "kind": kind,
                "value": value,
                "profile_id": link.person.root().id,
                "shared": False,
                "linked_by": link.message_id,
                "linked_at": link.at,
            }
            for (kind, value), link in plan.links.items()
        ]
        new = await self.tx.insert_new(identities, rows, returning=["id", "kind", "value"])
        if plan.shared:
            one = identities.c.kind == bindparam("its_kind"), identities.c.value == bindparam("its")
            share = update(identities).where(*self._mine(identities), *one).values(shared=True)
            await self.tx.execute(share, [{"its_kind": k, "its": v} for k, v in plan.shared])
        return {(row.kind, row.value): row.id for row in new}

    async def _keep_activities(
        self, items: Sequence[TrackedEvent], plan: Plan, numbers: Mapping[Key, int]
    ) -> list[Activity]:
        last = select(counts.c.position).where(*self._mine(counts))
        position = (await self.tx.execute(last)).scalar_one_or_none() or 0
        rows, told, names = [], [], {key: Identity(*key) for key, _ in plan.came}
        for item, (key, person) in zip(items, plan.came, strict=True):
            position += 1
            body = item.traits if item.type in domain.ABOUT_TRAITS else item.properties
            rows.append(
                {
                    "tenant": self.tx.tenant,
                    "position": position,
                    "identity": numbers[key],
                    "type": item.type,
                    "event": item.event,
                    "timestamp": item.timestamp,
                    "received_at": item.received_at,
                    "message_id": item.message_id,
                    "body": None if body == EMPTY else body,
                }
            )
            told.append(domain.activity(item, person.root().id, names[key]))
        await self.tx.insert(activities, rows)
        total = {
            "tenant": self.tx.tenant,
            "people": sum(person.new for person in plan.people.values()) - len(plan.merges),
            "identities": len(plan.links),
            "activities": len(rows),
            "position": position,
        }
        added = ["people", "identities", "activities"]
        await self.tx.upsert(counts, [total], keys=["tenant"], add=added, update=["position"])
        return told
