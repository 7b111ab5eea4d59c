"""How far the subscriptions of a module have read, in that module's own schema.

cursors   (position, item): everything up to *position* is done, and of the next event of the
          subscription's type the first *item* items; `heard_until` is how far it had come when it
          was rewound: what it has to say about that it has said
parked    what a subscription has set aside: to be tried again at `due_at`, or, without one,
          parked for a person to look at; `replaying` if it is of the past, so that nothing is
          done outside for it, and `heard_before` if it was told of already, too

A cursor moves in the transaction of the handler: that makes an effect happen exactly once.

Whoever tries again what was set aside claims it first: the attempt is counted and `due_at` put off,
committed before the handler is called. So however many processes read the same row, one of them
tries it, and its number of attempts is the fence of all that follows: who was overtaken (its claim
ran out, or a replay or a person began anew) settles nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    FromClause,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Select,
    String,
    Table,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from martech.kernel.columns import Id, Position, UtcDateTime, Words, table, tenant_column

UNKNOWN = -1
"""As the end of a replay: where the source's outbox ends is yet to be asked."""


class Overtaken(Exception):
    """Another process moved the cursor meanwhile. Nothing was done; look again."""


class Place(NamedTuple):
    position: int
    item: int


class Cursor(NamedTuple):
    place: Place
    replay_until: int
    """The head of the source when the subscription was made: up to here it hears of the past."""

    heard_until: int = 0
    """Up to here it hears what it has heard before. A new listener hears of the past, too, but for
    the first time: others wait for what it has to say about it."""

    def has_heard(self, position: int) -> bool:
        return position <= self.heard_until


class Aside(NamedTuple):
    """One event or item that is set aside."""

    place: Place
    tenant: UUID
    event: UUID
    type: str
    subject: str
    time: datetime
    data: bytes


class Held(NamedTuple):
    """What is set aside, as far as it concerns what is heard from a place on."""

    ahead: frozenset[Place]
    """What a replay has yet to come to."""

    subjects: Mapping[tuple[UUID, str], Place]
    """Where the first of a (tenant, subject) stands that waits to be tried again."""

    def is_behind(self, key: tuple[UUID, str], place: Place) -> bool:
        first = self.subjects.get(key)
        return first is not None and first < place


NOTHING = Held(frozenset(), {})


def cursors_table(metadata: MetaData) -> Table:
    return Table(
        "cursors",
        metadata,
        Column("subscription", String, primary_key=True),
        Column("position", Position, nullable=False),
        Column("item", Integer, nullable=False),
        Column("replay_until", Position, nullable=False),
        Column("heard_until", Position, nullable=False, server_default=text("0")),
    )


def parked_table(metadata: MetaData) -> Table:
    return Table(
        "parked",
        metadata,
        Column("subscription", String, primary_key=True),
        Column("position", Position, primary_key=True, autoincrement=False),
        Column("item", Integer, primary_key=True, autoincrement=False),
        tenant_column(),
        Column("event", Id, nullable=False),
        Column("type", String, nullable=False),
        Column("subject", String, nullable=False),
        Column("time", UtcDateTime, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("due_at", UtcDateTime),
        Column("replaying", Boolean, nullable=False, server_default=text("false")),
        Column("heard_before", Boolean, nullable=False, server_default=text("false")),
        Column("error", Words, nullable=False),
        Column("data", LargeBinary, nullable=False),
        Index(None, "subscription", "due_at"),
    )


class Cursors:
    """The cursor and the set-aside rows of one subscription."""

    def __init__(self, metadata: MetaData, subscription: str, *, first: int = 0) -> None:
        """*first* is the position with which a new one begins."""
        self._first = first
        self._name = subscription
        self._cursors = table(metadata, "cursors")
        self._parked = table(metadata, "parked")
        self._due = self._ready()

    async def create(
        self, connection: AsyncConnection, replay_until: int, heard_until: int = 0
    ) -> None:
        """Begin, unless the cursor is there already."""
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        until = {"replay_until": replay_until, "heard_until": heard_until}
        new = {"position": self._first, "item": 0, **until}
        await connection.execute(
            dialect.insert(self._cursors).on_conflict_do_nothing(),
            [{"subscription": self._name, **new}],
        )

    async def found(self, connection: AsyncConnection, head: int) -> None:
        """The source was reached for the first time; its outbox ends at *head*."""
        first = self._cursors.c.subscription == self._name, self._cursors.c.replay_until == UNKNOWN
        await connection.execute(update(self._cursors).where(*first).values(replay_until=head))

    async def load(self, connection: AsyncConnection, *, lock: bool = False) -> Cursor:
        """Where the subscription stands; with *lock*, nobody else moves it until the commit."""
        query = select(self._cursors).where(self._cursors.c.subscription == self._name)
        row = (await connection.execute(query.with_for_update() if lock else query)).one()
        return Cursor(Place(row.position, row.item), row.replay_until, row.heard_until)

    async def move(self, connection: AsyncConnection, place: Place) -> None:
        statement = update(self._cursors).where(self._cursors.c.subscription == self._name)
        await connection.execute(statement.values(position=place.position, item=place.item))

    async def rewind(self, connection: AsyncConnection, to: int) -> int | None:
        """Hear everything behind position *to* again; what was heard before is heard as a replay.
        Where the cursor stands then: never further on than before, for what it has not come to
        was never heard.

        What was set aside there when it was heard first has not been told of yet, or done outside:
        it stays, and has all its attempts when the replay has come to it. What a replay has set
        aside is heard again. None,
        with nothing done, while the cursor stands in the middle of a folded event: half of it
        would be news, and half of it a replay. Try again when the bus has gone on.
        """
        place, replay_until, heard_until = await self.load(connection, lock=True)
        if place.item:
            return None
        to = min(to, place.position)
        row = self._parked.c
        aside = row.subscription == self._name, row.position > to
        await connection.execute(delete(self._parked).where(*aside, row.heard_before))
        news = update(self._parked).where(*aside).values(due_at=row.time, attempts=0)
        await connection.execute(news)
        until = UNKNOWN if replay_until == UNKNOWN else max(place.position, replay_until)
        heard = max(place.position, heard_until)
        statement = update(self._cursors).where(self._cursors.c.subscription == self._name)
        there = {"position": to, "item": 0, "replay_until": until, "heard_until": heard}
        await connection.execute(statement.values(there))
        return to

    async def set_aside(
        self,
        connection: AsyncConnection,
        asides: Sequence[Aside],
        *,
        attempts: int,
        due_at: datetime | None,
        error: str,
    ) -> None:
        mine = select(self._cursors).where(self._cursors.c.subscription == self._name)
        cursor = (await connection.execute(mine)).one()
        rows = [
            {
                "subscription": self._name,
                "position": aside.place.position,
                "item": aside.place.item,
                "tenant": aside.tenant,
                "event": aside.event,
                "type": aside.type,
                "subject": aside.subject,
                "time": aside.time,
                "data": aside.data,
                "attempts": attempts,
                "due_at": due_at,
                "replaying": aside.place.position <= cursor.replay_until,
                "heard_before": aside.place.position <= cursor.heard_until,
                "error": error,
            }
            for aside in asides
        ]
        await connection.execute(insert(self._parked), rows)

    async def held(self, connection: AsyncConnection, place: Place, tenants: set[UUID]) -> Held:
        """What concerns that of *tenants* which is heard from *place* on."""
        row = self._parked.c
        concerns = (
            row.subscription == self._name,
            or_(row.due_at.is_not(None), row.position > place.position),
        )
        some = await connection.execute(select(row.tenant).distinct().where(*concerns))
        mine = tenants & set(some.scalars())
        if not mine:
            return NOTHING
        waits, done = row.due_at.is_not(None).label("waits"), self._is_done(place).label("done")
        found = await connection.execute(
            select(row.position, row.item, row.tenant, row.subject, waits, done)
            .where(*concerns, row.tenant.in_(mine))
            .order_by(row.position.desc(), row.item.desc())
        )
        rows = found.all()
        return Held(
            frozenset(Place(each.position, each.item) for each in rows if not each.done),
            {
                (each.tenant, each.subject): Place(each.position, each.item)
                for each in rows
                if each.waits and each.subject
            },
        )

    async def due(
        self, connection: AsyncConnection, now: datetime, place: Place, most: int = 500
    ) -> Sequence[Row[Any]]:
        """What is to be tried again now, of each tenant in the order of the source, the first of
        all tenants before their second ones; nothing that must wait behind an earlier one of its
        subject, and nothing that a replay at *place* has yet to come to."""
        given = {"now": now, "at": place.position, "at_item": place.item, "most": most}
        rows: Sequence[Row[Any]] = (await connection.execute(self._due, given)).all()
        return rows

    def _ready(self) -> Select[Any]:
        """The query of `due`, made once: every step asks it."""
        row, now = self._waiting(), bindparam("now", type_=UtcDateTime)
        at, at_item = bindparam("at", type_=Position), bindparam("at_item", type_=Integer)
        inside = and_(row.c.position == at + 1, row.c.item < at_item)
        due = row.c.due_at <= now, row.c.all_due_at <= now, or_(row.c.position <= at, inside)
        turn = func.row_number().over(
            partition_by=row.c.tenant, order_by=[row.c.position, row.c.item]
        )
        ready = select(row, turn.label("turn")).where(*due).subquery()
        in_turns = select(ready).order_by(ready.c.turn, ready.c.position, ready.c.item)
        return in_turns.limit(bindparam("most", type_=Integer))

    def _waiting(self) -> FromClause:
        """What waits to be tried again, and until when it must wait at least for itself and the
        earlier ones of its subject."""
        row = self._parked.c
        alone = [case((row.subject == "", column), else_=0) for column in (row.position, row.item)]
        all_due_at = func.max(row.due_at).over(
            partition_by=[row.tenant, row.subject, *alone],
            order_by=[row.position, row.item],
            rows=(None, 0),
        )
        return (
            select(self._parked, all_due_at.label("all_due_at"))
            .where(row.subscription == self._name, row.due_at.is_not(None))
            .subquery()
        )

    async def claim(
        self,
        connection: AsyncConnection,
        items: Sequence[Place],
        now: datetime,
        place: Place,
        until: datetime,
    ) -> int:
        """Count an attempt at *items*, which nobody else begins *until* then; the number of the
        attempt. *place* is where the cursor stands, which this connection holds. Raises
        `Overtaken` if one of them is not to be tried now any more."""
        row = self._parked
        claimed = await connection.execute(
            update(row)
            .where(*self._among(items), *self._is_due(now, place))
            .values(attempts=row.c.attempts + 1, due_at=until)
            .returning(row.c.attempts)
        )
        attempts: Sequence[int] = claimed.scalars().all()
        if len(attempts) < len(items) or len(set(attempts)) > 1:
            raise Overtaken
        return attempts[0]

    async def aside(self, connection: AsyncConnection) -> frozenset[Place]:
        """Everything that is set aside, or parked."""
        row = self._parked.c
        found = await connection.execute(
            select(row.position, row.item).where(row.subscription == self._name)
        )
        return frozenset(Place(*each) for each in found)

    async def take(self, connection: AsyncConnection, items: Sequence[Place], attempt: int) -> None:
        """Remove what is being handled in this transaction. Raises `Overtaken` if the claim is
        lost."""
        mine = delete(self._parked).where(*self._claimed(items, attempt))
        if (await connection.execute(mine)).rowcount < len(items):
            raise Overtaken

    async def failed(
        self,
        connection: AsyncConnection,
        item: Place,
        attempt: int,
        due_at: datetime | None,
        error: str,
    ) -> None:
        """The *attempt* came to nothing; without *due_at* the row is parked for good."""
        row = update(self._parked).where(*self._claimed([item], attempt))
        await connection.execute(row.values(due_at=due_at, error=error))

    async def give_back(
        self, connection: AsyncConnection, items: Sequence[Place], attempt: int, due_at: datetime
    ) -> None:
        """The *attempt* was none, and from *due_at* on whoever can may make it."""
        row = update(self._parked).where(*self._claimed(items, attempt))
        await connection.execute(row.values(attempts=attempt - 1, due_at=due_at))

    async def counts(self, connection: AsyncConnection) -> tuple[int, int]:
        """How many are parked for good, and how many wait for another attempt."""
        query = select(
            func.count().filter(self._parked.c.due_at.is_(None)),
            func.count().filter(self._parked.c.due_at.is_not(None)),
        ).where(self._parked.c.subscription == self._name)
        parked, waiting = (await connection.execute(query)).one()
        return parked, waiting

    def _is_done(self, place: Place) -> ColumnElement[bool]:
        """Whether a cursor at *place* has passed a row."""
        row = self._parked.c
        inside = and_(row.position == place.position + 1, row.item < place.item)
        return or_(row.position <= place.position, inside)

    def _is_due(self, now: datetime, place: Place) -> tuple[ColumnElement[bool], ...]:
        return self._parked.c.due_at <= now, self._is_done(place)

    def _claimed(self, items: Sequence[Place], attempt: int) -> tuple[ColumnElement[bool], ...]:
        return *self._among(items), self._parked.c.attempts == attempt

    def _among(self, items: Sequence[Place]) -> tuple[ColumnElement[bool], ...]:
        row = self._parked.c
        return row.subscription == self._name, tuple_(row.position, row.item).in_(items)
