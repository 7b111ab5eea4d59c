"""Where segments are kept, and the own copy of whom and what they are about.

    segments 1 ──< members >── 1 people 1 ──< behaviour
    registers, measures: what a tenant's segments count, by number

Behaviour hangs on the profile id by which it was told. A merge writes down who answers for that id
and moves nothing: however long a history is, it touches a handful of rows, and an un-merge can
follow. A person's running numbers stand in one row (`people.tallies`), so an event costs one row
read and one written, however many segments there are. Times are microseconds since 1970.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table

from martech.kernel.columns import Id, UtcDateTime, tenant_column
from martech.kernel.db import module_metadata

metadata = module_metadata("personalization")

registers = Table(
    "registers",
    metadata,
    tenant_column(primary_key=True),
    Column("clock", BigInteger, nullable=False),  # never goes back; who writes holds this row
    Column("turn", BigInteger, nullable=False, server_default="1"),  # how often somebody held it
    Column("segments", Integer, nullable=False),  # the last number that was given; likewise next
    Column("measures", Integer, nullable=False),
    Column("people", BigInteger, nullable=False),  # without those who were merged into others
)

segments = Table(
    "segments",
    metadata,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),
    Column("number", Integer, nullable=False),  # never given twice; short, for `people.inside`
    Column("name", String, nullable=False),
    Column("condition", LargeBinary, nullable=False),
    Column("version", Integer, nullable=False),
    Column("ready", Boolean, nullable=False),
    Column("looked_to", Id),  # whoever is not behind this id was looked at since the last change
    Column("looked_at", BigInteger, nullable=False),  # how many that were
    Column("size", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),  # its members are leaving
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

measures = Table(
    "measures",
    metadata,
    tenant_column(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # never given twice
    Column("definition", LargeBinary, nullable=False),
)

people = Table(
    "people",
    metadata,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),
    Column("kept", Id),
    Column("known", Integer, nullable=False),
    Column("traits", LargeBinary, nullable=False),
    Column("tallies", LargeBinary, nullable=False),
    Column("inside", LargeBinary, nullable=False),  # numbers of segments; `members` says the same
    Column("wake", BigInteger),
)
for _column in (people.c.kept, people.c.wake):
    Index(
        f"ix_people_{_column.name}",
        people.c.tenant,
        _column,
        sqlite_where=_column.is_not(None),
        postgresql_where=_column.is_not(None),
    )

behaviour = Table(
    "behaviour",
    metadata,
    tenant_column(primary_key=True),
    Column("profile_id", Id, primary_key=True),
    Column("event", String, primary_key=True),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, primary_key=True),
    Column("identity", String, nullable=False),
    Column("properties", LargeBinary, nullable=False),
)

members = Table(
    "members",
    metadata,
    tenant_column(primary_key=True),
    Column("segment_id", Id, primary_key=True),
    Column("profile_id", Id, primary_key=True),
    Column("since", UtcDateTime, nullable=False),
    Column("turn", BigInteger, nullable=False, server_default="0"),  # the order of coming
    Index(None, "tenant", "profile_id"),
    Index(None, "tenant", "segment_id", "turn", "profile_id"),
)
