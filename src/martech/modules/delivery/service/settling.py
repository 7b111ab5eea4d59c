"""What became of the messages that a lane held; with it they are out of its hands."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy import bindparam, select, update

from martech.kernel.columns import new_id
from martech.modules.delivery.contract import (
    Bounce,
    MessageBounced,
    MessageFact,
    MessageSent,
    SentMessage,
    State,
)
from martech.modules.delivery.domain import facts
from martech.modules.delivery.domain.commands import Tell
from martech.modules.delivery.domain.ledger import COUNTED
from martech.modules.delivery.domain.sends import Held, refused
from martech.modules.delivery.domain.settling import (
    ASIDE,
    IN_A_ROW,
    Result,
    Settled,
    in_a_row,
    settle,
)
from martech.modules.delivery.domain.telling import Engagement
from martech.modules.delivery.service.rows import Rows
from martech.modules.delivery.tables import engagements, messages, recipients, suppressions

SOON = timedelta(seconds=1)
"""How long facts for tracking wait for company."""


class Open(NamedTuple):
    """A message of which it is to be said what became of it."""

    id: UUID
    profile_id: UUID
    address: str
    attempts: int
    lane: int | None
    claimed_at: datetime
    code: int | None
    reason: str | None

    @property
    def aside(self) -> Settled | None:
        """What the server said of one that was refused in a row; None of any other."""
        for dead, lane in ASIDE.items():
            if lane == self.lane:
                return Settled("bounced", self.attempts, None, self.code, self.reason, dead)
        return None

    @property
    def known_at(self) -> datetime | None:
        """Of what is in nobody's hands any more, when that became of it which is said only now. It
        is the moment of the claim: nothing that the mail led to can have been before it."""
        return self.claimed_at if self.lane is None or self.aside else None


OPEN = tuple(messages.c[name] for name in Open._fields)


class Settling(Rows):
    async def settle(
        self,
        held: Held,
        lane: int,
        results: Mapping[UUID, Result],
        *,
        otherwise: Result,
        retry: timedelta,
    ) -> None:
        """Whatever *lane* holds leaves its hands, each with its result or *otherwise*; *results*
        are in the order in which they were heard."""
        found = await self._open(held, (lane, *ASIDE.values()))
        mine = {row.id: row for row in found if row.lane == lane}
        if not mine:
            return
        settled = {
            id_: settle(
                results.get(id_, otherwise),
                id_=id_,
                attempts=mine[id_].attempts,
                now=self.tx.now,
                retry=retry,
                cancelled=held.status == "cancelled",
            )
            for id_ in dict.fromkeys([*results, *mine])
            if id_ in mine
        }
        aside = {row.id: said for row in found if (said := row.aside)}
        row = in_a_row([aside, settled], proven=held.numbers["delivered"] > 0)
        waiting = self._waiting_on(held, row)
        await self._conclude(held, found, aside | settled | waiting, out_of="pending")

    async def end_row(self, held: Held) -> None:
        """If nothing else of it waits for its turn, those that were refused in a row at the end
        are refused for good."""
        if held.status == "open" and held.sealed and held.numbers["pending"]:
            rows = await self._open(held, ASIDE.values())
            if len(rows) == held.numbers["pending"]:
                settled = {row.id: said for row in rows if (said := row.aside)}
                await self._conclude(held, rows, settled, out_of="pending")

    async def _open(self, held: Held, lanes: Iterable[int]) -> list[Open]:
        mine = select(*OPEN).where(
            self._mine(messages),
            messages.c.send_id == held.id,
            messages.c.lane.in_([*lanes]),
        )
        return [Open._make(row) for row in await self.tx.execute(mine)]

    def _waiting_on(self, held: Held, row: Mapping[UUID, Settled]) -> dict[UUID, Settled]:
        """Those refused in a *row* wait for one that is accepted; if they are many, the send waits
        for somebody to look."""
        if held.status == "cancelled":
            return {}
        if len(row) < IN_A_ROW and not held.stopped:
            return {id_: replace(each, state="claimed") for id_, each in row.items()}
        now = self.tx.now
        if row:
            last = [*row.values()][-1]
            held.stop(refused(len(row), last.code, last.reason), now)
        return {id_: replace(each, state="pending", due_at=now) for id_, each in row.items()}

    async def _conclude(
        self, held: Held, rows: Sequence[Open], settled: Mapping[UUID, Settled], *, out_of: State
    ) -> None:
        if not settled:
            return
        for each in settled.values():
            held.move(COUNTED[each.state], out_of=out_of)
        await self._write(settled)
        proven = held.numbers["delivered"] > 0
        dead = [row.address for row in rows if settled[row.id].suppresses(proven=proven)]
        await self._bar(dead, "bounced", held)
        await self._tell(held, rows, settled)

    async def _write(self, settled: Mapping[UUID, Settled]) -> None:
        names = ("state", "due_at", "attempts", "code", "reason")
        final = [
            {
                "b_id": id_,
                "b_settled_at": None if each.due_at or each.waits else self.tx.now,
                "b_lane": ASIDE[each.dead] if each.waits else None,
                **{f"b_{name}": getattr(each, name) for name in names},
            }
            for id_, each in settled.items()
        ]
        changed = update(messages).where(self._mine(messages), messages.c.id == bindparam("b_id"))
        values: dict[str, object] = {
            name: bindparam(f"b_{name}") for name in (*names, "settled_at", "lane")
        }
        await self.tx.execute(changed.values(values), final)

    async def _bar(self, addresses: Iterable[str], reason: str, held: Held) -> None:
        fixed = {"tenant": self.tx.tenant, "reason": reason, "since": self.tx.now}
        rows = [
            {**fixed, "address": address, "source": f"send:{held.id}"}
            for address in sorted(set(addresses))
        ]
        await self.tx.insert_new(suppressions, rows, returning=["address"])

    async def _tell(
        self, held: Held, rows: Sequence[Open], settled: Mapping[UUID, Settled]
    ) -> None:
        """The modules that listen, and (later) tracking."""
        said = [row for row in rows if settled[row.id].state in ("delivered", "bounced")]
        today = await self._merged({row.profile_id for row in said})
        sent: list[SentMessage] = []
        returned: list[Bounce] = []
        told: list[Engagement] = []
        for row in said:
            each, profile_id = settled[row.id], today.get(row.profile_id, row.profile_id)
            fact = self._fact(held, row.id, profile_id, at=row.known_at)
            if each.state == "delivered":
                content = held.content_id, held.content_version
                sent.append(facts.sent(fact, *content))
                told.append(Engagement("delivered", fact))
            else:
                returned.append(facts.bounce(fact, each))
                told.append(Engagement("bounced", fact, each.reason))
        self.tx.publish(MessageSent(items=sent))
        self.tx.publish(MessageBounced(items=returned))
        await self._note(told)

    async def _merged(self, ids: Iterable[UUID]) -> dict[UUID, UUID]:
        """Who those of *ids* are today that were merged into somebody."""
        gone = select(recipients.c.profile_id, recipients.c.merged_into).where(
            self._mine(recipients), recipients.c.merged_into.is_not(None)
        )
        rows = await self.tx.among(gone, recipients.c.profile_id, sorted(ids))
        return {row.profile_id: row.merged_into for row in rows}

    def _fact(
        self, held: Held, message_id: UUID, profile_id: UUID, *, at: datetime | None = None
    ) -> MessageFact:
        return MessageFact(
            message_id=message_id,
            send_id=held.id,
            source=held.key.source,
            occasion=held.key.occasion,
            step=held.key.step,
            channel=held.channel,
            profile_id=profile_id,
            at=at or self.tx.now,
        )

    async def _note(self, told: Sequence[Engagement]) -> None:
        """Facts that tracking is to be told."""
        rows = [
            {
                "tenant": self.tx.tenant,
                "id": new_id(),
                "kind": each.kind,
                "message_id": each.fact.message_id,
                "send_id": each.fact.send_id,
                "profile_id": each.fact.profile_id,
                "at": each.fact.at,
                "detail": each.detail,
            }
            for each in told
        ]
        if rows:
            await self.tx.insert(engagements, rows)
            tell = Tell()
            self.tx.enqueue(tell, at=self.tx.now + SOON, key=tell.key)
