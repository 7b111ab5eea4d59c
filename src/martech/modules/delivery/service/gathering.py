"""The audience of a send: whom it is to, each once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, select, update

from martech.kernel.errors import Conflict, Invalid, Unavailable
from martech.modules.delivery.contract import Send
from martech.modules.delivery.domain.ledger import Kept
from martech.modules.delivery.domain.people import Recipient
from martech.modules.delivery.domain.sends import Held
from martech.modules.delivery.service.rows import Rows
from martech.modules.delivery.tables import excluded, messages, recipients, sends

MOST = 1000
"""People who are added at once."""

PATIENCE = timedelta(minutes=10)
"""How long after its opening a send waits for news of people whom nobody here knows."""

SENT: tuple[Kept, ...] = ("delivered", "bounced")
UNSENT: tuple[Kept, ...] = ("cancelled", "failed", "suppressed")
"""States in which a cancelled send leaves its messages for good; and in between there is
*ambiguous*."""


class Left(NamedTuple):
    """A message of a cancelled send that was not sent, as far as anybody knows."""

    id: UUID
    send_id: UUID
    state: Kept


class Had(NamedTuple):
    """A message that somebody has, or may yet get."""

    profile_id: UUID
    send_id: UUID
    address: str
    state: Kept


HAD = tuple(messages.c[name] for name in Had._fields)
LEFT = tuple(messages.c[name] for name in Left._fields)


class Gathering(Rows):
    async def add_recipients(self, send_id: UUID, profile_ids: list[UUID]) -> Send:
        if len(profile_ids) > MOST:
            raise Invalid(
                f"These are {len(profile_ids):,}; add at most {MOST:,} at once.",
                field="profile_ids",
            )
        held = await self.hold(send_id)
        people = await self._people(profile_ids)
        family = await self._families(profile_ids, people)
        there = await self._there(send_id, family)
        wanted = list(dict.fromkeys(id_ for id_ in profile_ids if family[id_] not in there))
        if not wanted:
            return held.view()
        if held.sealed or held.status in ("completed", "cancelled"):
            raise Conflict(f"The send is {'sealed' if held.sealed else held.status}.")
        if not all(id_ in people for id_ in wanted) and self.tx.now - held.opened_at < PATIENCE:
            raise Unavailable("Some of these people were not heard of yet.", retry_after=1)
        had = await self._elsewhere(held, family, dict(people.values()))
        await self._add(held, wanted, people, {id_ for id_ in wanted if family[id_] in had})
        self._wake(held)
        return await self.finish(held)

    async def _families(
        self, ids: Sequence[UUID], people: Mapping[UUID, tuple[UUID, Recipient]]
    ) -> dict[UUID, UUID]:
        """Every id that those of *ids* ever had, and who that is today."""
        today = {id_: people[id_][0] if id_ in people else id_ for id_ in ids}
        family = {id_: id_ for id_ in [*ids, *today.values()]} | today
        merged = select(recipients.c.profile_id, recipients.c.merged_into)
        merged = merged.where(self._mine(recipients))
        for row in await self.tx.among(merged, recipients.c.merged_into, sorted(set(family))):
            family[row.profile_id] = row.merged_into
        return family

    async def _there(self, send_id: UUID, family: Mapping[UUID, UUID]) -> set[UUID]:
        """Those who are in the send, under whichever id they were asked for."""
        names = sorted(family)
        asked = select(messages.c.profile_id).where(
            self._mine(messages), messages.c.send_id == send_id
        )
        rows = await self.tx.among(asked, messages.c.profile_id, names)
        left = select(excluded.c.profile_id).where(
            self._mine(excluded), excluded.c.send_id == send_id
        )
        rows += await self.tx.among(left, excluded.c.profile_id, names)
        return {family[row.profile_id] for row in rows}

    async def _elsewhere(
        self, held: Held, family: Mapping[UUID, UUID], people: Mapping[UUID, Recipient]
    ) -> set[UUID]:
        """Those of *people* who have, or may yet get, the message of another send of the same key
        under an address that is not theirs today: there the ledger does not know them. Raises
        `Unavailable` until it is known of each."""
        key = held.key
        same = select(sends.c.id, sends.c.status).where(
            self._mine(sends),
            sends.c.source == key.source,
            sends.c.occasion == key.occasion,
            sends.c.step == key.step,
            sends.c.channel == key.channel,
            sends.c.id != held.id,
        )
        status = {row.id: row.status for row in await self.tx.execute(same)}
        if not status:
            return set()
        had = select(*HAD).where(
            self._mine(messages),
            messages.c.send_id.in_(sorted(status)),
            messages.c.state.not_in(("bounced", *UNSENT)),
        )
        found = await self.tx.among(had, messages.c.profile_id, sorted(family))
        had_there = [
            each
            for each in map(Had._make, found)
            if (person := people.get(family[each.profile_id])) is not None
            and person.address not in (None, each.address)
        ]
        cancelled = [each for each in had_there if status[each.send_id] == "cancelled"]
        _check_known(Counter(each.state for each in cancelled if each.state not in SENT))
        return {family[each.profile_id] for each in had_there}

    async def _add(
        self,
        held: Held,
        wanted: Sequence[UUID],
        people: Mapping[UUID, tuple[UUID, Recipient]],
        had: set[UUID],
    ) -> None:
        addresses: dict[str, UUID] = {}
        left: dict[UUID, str] = {}
        for id_ in wanted:
            address = people[id_][1].address if id_ in people else None
            if address is None:
                left[id_] = "unreachable"
            elif id_ in had or addresses.setdefault(address, id_) != id_:
                left[id_] = "duplicate"
        rows = [self._row(held, address, id_) for address, id_ in addresses.items()]
        rows.sort(key=lambda row: str(row["id"]))
        inserted = await self.tx.insert_new(messages, rows, returning=["profile_id"])
        new = {row.profile_id for row in inserted}
        known = {address: id_ for address, id_ in addresses.items() if id_ not in new}
        new |= await self._take_over(held, known)
        left |= {id_: "duplicate" for id_ in addresses.values() if id_ not in new}
        fixed = {"tenant": self.tx.tenant, "send_id": held.id}
        out = [{**fixed, "profile_id": id_, "reason": reason} for id_, reason in left.items()]
        await self.tx.insert_new(excluded, out, returning=["profile_id"])
        held.move("audience", len(wanted))
        held.move("pending", len(new))
        for reason in left.values():
            held.move(reason)

    async def _take_over(self, held: Held, addresses: Mapping[str, UUID]) -> set[UUID]:
        """The people at those *addresses* whom an earlier send of the same key, now cancelled, did
        not write to: their messages are this send's. Raises `Unavailable` until that is over, and
        known of each."""
        asked = {held.key.message_id(address): id_ for address, id_ in addresses.items()}
        left = await self._left(sorted(asked))
        if not left:
            return set()
        _check_known(Counter(each.state for each in left))
        # others may follow the same send: who waits for whom is the order of the ids
        there = select(messages.c.id).where(
            self._mine(messages),
            messages.c.send_id.in_({each.send_id for each in left}),
            messages.c.state.in_(UNSENT),
        )
        ids = sorted(each.id for each in left)
        rows = await self.tx.among(there.with_for_update(), messages.c.id, ids)
        if rows:
            one = self._mine(messages), messages.c.id == bindparam("its_id")
            ours = {"send_id": held.id, "profile_id": bindparam("its_profile_id")}
            await self.tx.execute(
                update(messages).where(*one).values(**ours, **self._waiting()),
                [{"its_id": row.id, "its_profile_id": asked[row.id]} for row in rows],
            )
        return {asked[row.id] for row in rows}

    async def _left(self, ids: Sequence[UUID]) -> list[Left]:
        """Those of the messages *ids* that a cancelled send has not sent, or may not have."""
        there = select(*LEFT).where(self._mine(messages), messages.c.state.not_in(SENT))
        found = [Left._make(row) for row in await self.tx.among(there, messages.c.id, ids)]
        over = select(sends.c.id).where(self._mine(sends), sends.c.status == "cancelled")
        owners = sorted({each.send_id for each in found})
        cancelled = {row.id for row in await self.tx.among(over, sends.c.id, owners)}
        return [each for each in found if each.send_id in cancelled]

    def _waiting(self) -> dict[str, object]:
        """What has not been tried by this send."""
        never = dict.fromkeys(("claimed_at", "settled_at", "code", "reason"))
        return {"state": "pending", "due_at": self.tx.now, "attempts": 0, **never}

    def _row(self, held: Held, address: str, profile_id: UUID) -> dict[str, object]:
        key = held.key
        return {
            "tenant": self.tx.tenant,
            "id": key.message_id(address),
            "send_id": held.id,
            "profile_id": profile_id,
            "source": key.source,
            "occasion": key.occasion,
            "step": key.step,
            "channel": key.channel,
            "address": address,
            **self._waiting(),
        }


def _check_known(states: Counter[Kept]) -> None:
    """Raise `Unavailable` while it may turn out that a message was sent all the same."""
    if states.keys() - {*UNSENT, "ambiguous"}:
        raise Unavailable("What an earlier send left is being cancelled.", retry_after=1)
    if number := states["ambiguous"]:
        raise Unavailable(
            f"Of {number:,} messages of an earlier send nobody knows whether the mail server took "
            "them: these people can neither be left out nor written to. Give POST "
            "/delivery/v1/reconciliations what the server's log says; this goes on by itself.",
            retry_after=10,
        )
