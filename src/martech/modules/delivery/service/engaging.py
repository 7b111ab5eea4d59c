"""What people do with their mails: they open them, follow links, and want no more of them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, select, update

from martech.kernel.grouping import Groups
from martech.modules.delivery.contract import LinkClicked, MessageOpened, Unsubscribed
from martech.modules.delivery.domain import facts, telling
from martech.modules.delivery.domain.links import Kind, Token
from martech.modules.delivery.domain.people import UNWANTED
from martech.modules.delivery.domain.sends import Held
from martech.modules.delivery.service.settling import Settling
from martech.modules.delivery.tables import links, messages, signing_keys, suppressions

WAITING = 384
"""Hits that may wait for a commit, of each group; what is more is turned away."""

NUMBERS: Mapping[Kind, str] = {"o": "opened", "c": "clicked", "u": "unsubscribed"}


class Received(NamedTuple):
    """A message, and when something was first done with it."""

    id: UUID
    profile_id: UUID
    address: str
    opened_at: datetime | None
    clicked_at: datetime | None
    unsubscribed_at: datetime | None

    def first(self, kind: Kind) -> datetime | None:
        return {"o": self.opened_at, "c": self.clicked_at, "u": self.unsubscribed_at}[kind]


RECEIVED = tuple(messages.c[name] for name in Received._fields)


class Hit(NamedTuple):
    """A link of one of our mails was asked for."""

    token: Token
    counts: bool
    """False when somebody only looks: nothing is changed then."""

    machine: bool = False
    """Whether a program did it on its own."""


class Done(NamedTuple):
    """A hit that counts, and where it led."""

    kind: Kind
    message_id: UUID
    url: str
    machine: bool


class Engaging(Settling):
    async def engage(self, hits: Sequence[Hit]) -> Sequence[str | None]:
        """The stored URL of a click, and nothing ("") for what leads nowhere; None for a token
        that we did not sign, or whose message or link is not there."""
        key = await self._signing_key()
        held = [hit.token for hit in hits if key is not None and hit.token.holds(key)]
        sends = await self._sends_of({token.message_id for token in held})
        urls = await self._urls({token.link_id for token in held if token.link_id})
        good = {token for token in held if token.message_id in sends}
        answers = [
            (urls.get(hit.token.link_id) if hit.token.kind == "c" else "")
            if hit.token in good
            else None
            for hit in hits
        ]
        done: dict[UUID, list[Done]] = {}
        for hit, url in zip(hits, answers, strict=True):
            if hit.counts and url is not None:
                id_ = hit.token.message_id
                done.setdefault(sends[id_], []).append(Done(hit.token.kind, id_, url, hit.machine))
        sends_held = [await self.hold(send_id) for send_id in sorted(done)]
        # all are held before anything is written, and addresses are written in one order for all
        # of them: no two wait in a circle
        rows = await self._rows({each.message_id for some in done.values() for each in some})
        await self._unsubscribe(sends_held, done, rows)
        for send in sends_held:
            await self._record(send, done[send.id], rows)
        return answers

    async def _signing_key(self) -> bytes | None:
        mine = select(signing_keys.c.key).where(self._mine(signing_keys))
        key: bytes | None = (await self.tx.execute(mine)).scalar_one_or_none()
        return key

    async def _sends_of(self, ids: Iterable[UUID]) -> dict[UUID, UUID]:
        mine = select(messages.c.id, messages.c.send_id).where(self._mine(messages))
        rows = await self.tx.among(mine, messages.c.id, sorted(ids))
        return {row.id: row.send_id for row in rows}

    async def _urls(self, ids: Iterable[str]) -> dict[str, str]:
        mine = select(links.c.id, links.c.url).where(self._mine(links))
        return {row.id: row.url for row in await self.tx.among(mine, links.c.id, sorted(ids))}

    async def _rows(self, ids: Iterable[UUID]) -> dict[UUID, Received]:
        mine = select(*RECEIVED).where(self._mine(messages))
        rows = await self.tx.among(mine, messages.c.id, sorted(ids))
        return {row.id: Received._make(row) for row in rows}

    async def _record(
        self, held: Held, done: Sequence[Done], found: Mapping[UUID, Received]
    ) -> None:
        """Everything that follows from it, in the one transaction."""
        rows = {each.message_id: found[each.message_id] for each in done}
        first = {kind: await self._mark(held, kind, done, rows) for kind in NUMBERS}
        await self._spread(held, done, rows, optouts=first["u"])
        if any(first.values()):
            await self.finish(held)

    async def _mark(
        self, held: Held, kind: Kind, done: Sequence[Done], rows: Mapping[UUID, Received]
    ) -> set[UUID]:
        """Messages to which this happens for the first time: they are counted."""
        column = f"{NUMBERS[kind]}_at"
        ids = {each.message_id for each in done if each.kind == kind}
        first = {id_ for id_ in ids if rows[id_].first(kind) is None}
        if first:
            changed = update(messages).where(
                self._mine(messages), messages.c.id == bindparam("b_id")
            )
            marks = [{"b_id": id_, "b_at": self.tx.now} for id_ in sorted(first)]
            await self.tx.execute(changed.values({column: bindparam("b_at")}), marks)
            held.move(NUMBERS[kind], len(first))
        return first

    async def _unsubscribe(
        self,
        sends: Sequence[Held],
        done: Mapping[UUID, Sequence[Done]],
        rows: Mapping[UUID, Received],
    ) -> None:
        """Nothing more for their addresses, from now on: an older consent of which we have yet to
        hear does not lift what was said after it."""
        fixed = {"tenant": self.tx.tenant, "reason": UNWANTED, "since": self.tx.now}
        barred = {
            row.address: {"source": f"send:{held.id}", "profile_id": row.profile_id}
            for held in sends
            for each in done[held.id]
            if each.kind == "u"
            for row in [rows[each.message_id]]
        }
        await self.tx.upsert(
            suppressions,
            [{**fixed, "address": address, **more} for address, more in sorted(barred.items())],
            keys=["tenant", "address", "reason"],
            update=["since", "source", "profile_id"],
        )

    async def _spread(
        self,
        held: Held,
        done: Sequence[Done],
        rows: Mapping[UUID, Received],
        *,
        optouts: set[UUID],
    ) -> None:
        """Tell the modules that listen, and (later) tracking and profiles. Profiles hears of each
        time that somebody leaves: they may have come back since the last, unknown to us."""
        ids = {row.profile_id for row in rows.values()}
        today = await self._merged(ids)
        whose = {id_: today.get(row.profile_id, row.profile_id) for id_, row in rows.items()}
        told = {id_: self._fact(held, id_, profile_id) for id_, profile_id in whose.items()}
        opened = [
            facts.opening(told[each.message_id], machine=each.machine)
            for each in done
            if each.kind == "o"
        ]
        clicked = [
            facts.click(told[each.message_id], each.url) for each in done if each.kind == "c"
        ]
        unwanted = {each.message_id for each in done if each.kind == "u"}
        self.tx.publish(MessageOpened(items=opened))
        self.tx.publish(LinkClicked(items=clicked))
        self.tx.publish(Unsubscribed(items=[facts.opt_out(told[id_]) for id_ in sorted(optouts)]))
        await self._note(
            [
                *(
                    telling.Engagement("opened", fact, telling.MACHINE if fact.machine else None)
                    for fact in opened
                ),
                *(telling.Engagement("clicked", fact, fact.url) for fact in clicked),
                *(telling.Engagement("unsubscribed", told[id_]) for id_ in sorted(unwanted)),
            ]
        )


class Reception:
    """What people do, from all requests of this process, on its way into few transactions. Those
    who want no more wait among themselves: no flood of openings takes their places."""

    def __init__(self, groups: Groups) -> None:
        self._group = groups.of(Engaging.engage, limit=WAITING)
        self._leaving = groups.of(Engaging.engage, limit=WAITING)

    async def take(self, token: Token | None, *, counts: bool, machine: bool = False) -> str | None:
        """See `Engaging.engage`; it is durable when this returns. Raises `TooMany` and
        `Unavailable`."""
        if token is None:
            return None
        group = self._leaving if token.kind == "u" else self._group
        return await group.submit(token.tenant, Hit(token, counts, machine))
