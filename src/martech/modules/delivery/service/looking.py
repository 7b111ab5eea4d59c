"""What is shown of sends and messages."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select

from martech.kernel.errors import NotFound
from martech.kernel.paging import Moment, cursor, last_looked_at, place
from martech.modules.delivery.contract import Channel, Message, Messages, Sends, ServerStatus, State
from martech.modules.delivery.domain.claims import Claimed, Draft, feedback
from martech.modules.delivery.domain.ledger import COUNTED, Kept
from martech.modules.delivery.domain.sends import unreachable
from martech.modules.delivery.domain.server import MailServer
from martech.modules.delivery.service.claiming import NOTHING, Claiming, person_of
from martech.modules.delivery.service.rows import HEAD, SEND, Opened, held_of
from martech.modules.delivery.tables import messages, recipients, sends, servers

WALKED = 10_000
"""Messages that one page looks through: so long, on SQLite, everybody else waits."""


class Entry(NamedTuple):
    """A message as the ledger has it."""

    id: UUID
    send_id: UUID
    profile_id: UUID
    channel: Channel
    address: str
    state: Kept
    attempts: int
    due_at: datetime | None
    claimed_at: datetime | None
    settled_at: datetime | None
    code: int | None
    reason: str | None
    opened_at: datetime | None
    clicked_at: datetime | None
    unsubscribed_at: datetime | None


ENTRY = tuple(messages.c[name] for name in Entry._fields)


class Wanted(NamedTuple):
    """Which messages are looked for, behind the one with the id *start*."""

    send_id: UUID | None
    status: State | None
    start: UUID | None

    @property
    def states(self) -> list[Kept]:
        return [kept for kept, shown in COUNTED.items() if self.status in (None, shown)]

    def fits(self, row: Entry) -> bool:
        there = self.send_id in (None, row.send_id) and row.state in self.states
        return there and (self.start is None or row.id > self.start)


class Looking(Claiming):
    async def sends(self, *, after: str | None = None, limit: int = 100) -> Sends:
        """The newest first."""
        mine = select(*SEND).where(self._mine(sends))
        if after is not None:
            at, id_ = place(after, tuple[Moment, UUID])
            older = (sends.c.opened_at == at) & (sends.c.id < id_)
            mine = mine.where(or_(sends.c.opened_at < at, older))
        newest = sends.c.opened_at.desc(), sends.c.id.desc()
        rows = (await self.tx.execute(mine.order_by(*newest).limit(limit + 1))).all()
        end = None
        if len(rows) > limit:
            last = rows[limit - 1]
            end = cursor(last.opened_at, last.id)
        shown = [held_of(Opened._make(row[:HEAD]), row[HEAD:]).view() for row in rows[:limit]]
        return Sends(data=shown, next=end)

    async def messages(
        self,
        *,
        send_id: UUID | None = None,
        status: State | None = None,
        profile_id: UUID | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Messages:
        """In the order of their ids, which is none."""
        wanted = Wanted(send_id, status, None if after is None else place(after, tuple[UUID])[0])
        horizon = None
        if profile_id is not None:
            rows = await self._of_person(profile_id, wanted)
        elif status is None or (status == "ambiguous" and send_id is not None):
            rows = await self._first(self._indexed(wanted), limit + 1)
        else:
            rows, horizon = await self._walk(wanted, limit + 1)
        end = rows[limit - 1].id if len(rows) > limit else horizon
        return Messages(
            data=[_message(row) for row in rows[:limit]],
            next=None if end is None else cursor(end),
        )

    async def message(self, message_id: UUID) -> Message:
        mine = select(*ENTRY).where(self._mine(messages), messages.c.id == message_id)
        row = (await self.tx.execute(mine)).one_or_none()
        if row is None:
            raise NotFound(f"There is no message {message_id}.")
        return _message(Entry._make(row))

    async def _of_person(self, profile_id: UUID, wanted: Wanted) -> list[Entry]:
        """All of one person, who has few. An ORDER BY or a send would lead SQLite to an index that
        holds everybody's."""
        mine = select(*ENTRY).where(self._mine(messages))
        ids = await self._family(profile_id)
        rows = [Entry._make(row) for row in await self.tx.among(mine, messages.c.profile_id, ids)]
        return sorted((row for row in rows if wanted.fits(row)), key=lambda row: row.id)

    def _indexed(self, wanted: Wanted) -> ColumnElement[bool]:
        """What an index leads to, in the order of ids."""
        found = self._mine(messages)
        if wanted.send_id is not None:
            found &= messages.c.send_id == wanted.send_id
        if wanted.start is not None:
            found &= messages.c.id > wanted.start
        if wanted.status == "ambiguous":
            found &= messages.c.state == wanted.status
        return found

    async def _walk(self, wanted: Wanted, most: int) -> tuple[list[Entry], UUID | None]:
        """Those of a status, which no index leads to, among the next `WALKED`; and the last of
        these, if there are more behind it. An index by status would be written three times for
        each mail; and without a bound, what is rare would be looked for among millions."""
        near = self._indexed(wanted._replace(status=None))
        last = select(messages.c.id).where(near).order_by(messages.c.id)
        found = await self.tx.execute(last_looked_at(last, WALKED))
        horizon: UUID | None = found.scalar_one_or_none()
        if horizon is not None:
            near &= messages.c.id <= horizon
        return await self._first(near & messages.c.state.in_(wanted.states), most), horizon

    async def _first(self, found: ColumnElement[bool], most: int) -> list[Entry]:
        rows = await self.tx.execute(
            select(*ENTRY).where(found).order_by(messages.c.id).limit(most)
        )
        return [Entry._make(row) for row in rows]

    async def server(self, server: MailServer, warning: str | None = None) -> ServerStatus:
        """The mail *server* as it was found, if anybody tried; and what else is to be said of all
        mails."""
        mine = select(servers).where(self._mine(servers), servers.c.server == server.shown)
        row = (await self.tx.execute(mine)).one_or_none()
        away = row is not None and not row.reachable
        return ServerStatus(
            server=server.shown,
            reachable=row and row.reachable,
            error=row and row.error,
            since=row and row.since,
            problem=unreachable(server.shown, row and row.error) if away else warning,
        )

    async def draft(self, send_id: UUID, profile_id: UUID) -> Draft:
        """What is written to this person. Raises `NotFound` for who has no address."""
        held = await self._find(send_id)
        if held is None:
            raise NotFound(f"There is no send {send_id}.")
        today = (await self._today({profile_id})).get(profile_id)
        asked = select(messages.c.address).where(
            self._mine(messages),
            messages.c.send_id == send_id,
            messages.c.profile_id.in_(await self._family(profile_id)),
        )
        asked = asked.order_by(messages.c.id).limit(1)
        address = (await self.tx.execute(asked)).scalar_one_or_none()
        if address is None and today is not None:
            address = today.address
        if address is None:
            raise NotFound(f"Nobody {profile_id} has an address.", field="profile_id")
        texts = await self._texts(held)
        person = person_of(today, profile_id, address)
        said = feedback(held.key.source, held.id, self.tx.tenant)
        message = Claimed(held.key.message_id(address), person)
        return Draft(message=message, texts=texts or NOTHING, feedback=said, at=self.tx.now)

    async def _family(self, profile_id: UUID) -> list[UUID]:
        """Every id under which that person was ever asked for."""
        mine = select(recipients.c.merged_into).where(
            self._mine(recipients), recipients.c.profile_id == profile_id
        )
        today = (await self.tx.execute(mine)).scalar_one_or_none() or profile_id
        gone = select(recipients.c.profile_id).where(
            self._mine(recipients), recipients.c.merged_into == today
        )
        merged = (await self.tx.execute(gone)).scalars().all()
        return sorted({profile_id, today, *merged})


def _message(row: Entry) -> Message:
    return Message(
        id=row.id,
        send_id=row.send_id,
        profile_id=row.profile_id,
        channel=row.channel,
        address=row.address,
        status=COUNTED[row.state],
        attempts=row.attempts,
        due_at=row.due_at,
        claimed_at=row.claimed_at,
        settled_at=row.settled_at,
        code=row.code,
        reason=row.reason,
        opened_at=row.opened_at,
        clicked_at=row.clicked_at,
        unsubscribed_at=row.unsubscribed_at,
    )
