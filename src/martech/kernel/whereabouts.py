"""Whether a schema is the living copy of its module's data, in a table of one row beside the rest.

    (no row)   never moved: it is
    arriving   it was copied here, and nobody has said yet that it lives here
    here       it came from elsewhere, or set out for there and has not left: it is
    left       it went elsewhere, and what is here is of yesterday

`migrate` refuses a schema that is arriving or has left, and so does whoever serves; a schema that
has left is closed by the database itself too, for those who did not ask. The table is no part of
a module's own tables: it is about them, and is made when a module first moves.
"""

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    String,
    Table,
    Uuid,
    delete,
    insert,
    inspect,
    select,
)

from martech.kernel import walls
from martech.kernel.columns import UtcDateTime

TABLE = "whereabouts"
State = Literal["arriving", "here", "left"]


class Whereabouts(NamedTuple):
    move: UUID
    """The same on both sides of one move."""

    data: UUID
    """The same wherever this data has been. Of all places that say it, one at most is `here`: the
    others are copies of what lives there, as long as it does."""

    state: State
    place: str
    """The other side, without a password."""

    at: datetime


def table(schema: str) -> Table:
    return Table(
        TABLE,
        MetaData(schema=schema),
        Column("move", Uuid, primary_key=True),
        Column("data", Uuid, nullable=False),
        Column("state", String, nullable=False),
        Column("place", String, nullable=False),
        Column("at", UtcDateTime, nullable=False),
    )


def read(connection: Connection, schema: str) -> Whereabouts | None:
    if not inspect(connection).has_table(TABLE, schema=schema):
        return None
    row = connection.execute(select(table(schema))).one_or_none()
    return Whereabouts(*row) if row else None


def write(connection: Connection, schema: str, now: Whereabouts) -> None:
    own = table(schema)
    own.create(connection, checkfirst=True)
    connection.execute(delete(own))
    connection.execute(insert(own), [now._asdict()])
    if connection.dialect.name == "postgresql":  # what stands here is the operator's to say
        walls.close_table(connection, schema, TABLE)


def refusal(schema: str, found: Whereabouts | None) -> str | None:
    """Why nobody may serve this schema, if so, and where to look instead."""
    if found is None or found.state == "here":
        return None
    setting = f"MARTECH_{schema.upper()}_DATABASE_URL"
    if found.state == "arriving":
        return (
            f"{schema} has not arrived here from {found.place}: its move was broken off. Nothing "
            f"is lost. Set {setting}={found.place}, and say `martech move-data {schema} --to` and "
            "this place."
        )
    return (
        f"{schema} moved to {found.place} on {found.at:%Y-%m-%d at %H:%M} UTC, and what is here is "
        f"of then. Set {setting} to where it is; if that is MARTECH_DATABASE_URL, it came back, "
        f"and {setting} is to be unset."
    )


def close(connection: Connection, schema: str, tables: list[Table], why: str) -> None:
    """Have the database itself refuse whoever goes on as if nothing had happened."""
    if connection.dialect.name == "postgresql":
        walls.close_schema(connection, schema)
        return
    said = why.replace("'", "''")
    for each in tables:
        for act in ("INSERT", "UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f'CREATE TRIGGER "{schema}"."left_{each.name}_{act}" BEFORE {act} ON "{each.name}" '
                f"BEGIN SELECT RAISE(ABORT, '{said}'); END"
            )
