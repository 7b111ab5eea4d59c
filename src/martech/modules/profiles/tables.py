"""Where people are kept.

    profiles 1 ──< identities 1 ──< activities
                              1 ──< consents

Whatever a person did or said hangs on the identity it came by, and the identity belongs to a
profile. So a merge moves identities and nothing else: however long the histories are, it touches a
handful of rows, the kept person's timeline is complete at once, and an un-merge can follow.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from martech.kernel.columns import Id, Position, UtcDateTime, tenant_column
from martech.kernel.db import module_metadata

metadata = module_metadata("profiles")

profiles = Table(
    "profiles",
    metadata,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),  # begins with its time: the order of arrival
    Column("first_seen", UtcDateTime, nullable=False),
    Column("identified", Boolean, nullable=False),
    Column("traits", LargeBinary, nullable=False),  # domain.Traits as JSON
    Column("merged_into", Id),
)
Index(
    "ix_profiles_merged_into",
    profiles.c.tenant,
    profiles.c.merged_into,
    sqlite_where=profiles.c.merged_into.is_not(None),
    postgresql_where=profiles.c.merged_into.is_not(None),
)

identities = Table(
    "identities",
    metadata,
    Column("id", Position, Identity(), primary_key=True),
    tenant_column(),
    Column("kind", String, nullable=False),
    Column("value", String, nullable=False),
    Column("profile_id", Id, nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("linked_by", String, nullable=False),  # the message that first spoke of it
    Column("linked_at", UtcDateTime, nullable=False),
    UniqueConstraint("tenant", "kind", "value"),
    Index(None, "tenant", "profile_id"),
    sqlite_autoincrement=True,
)

activities = Table(
    "activities",
    metadata,
    tenant_column(primary_key=True),
    Column("position", BigInteger, primary_key=True),  # counted by tenant, without gaps
    Column("identity", BigInteger, nullable=False),
    Column("type", String, nullable=False),
    Column("event", String),
    Column("timestamp", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("message_id", String, nullable=False),
    Column("body", LargeBinary),  # the traits of an identify or group, the properties of all else
    Index(None, "identity", "timestamp", "position"),
)

consents = Table(
    "consents",
    metadata,
    Column("id", Position, Identity(), primary_key=True),
    tenant_column(),
    Column("identity", BigInteger, nullable=False),
    Column("channel", String, nullable=False),
    Column("status", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("source", String, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Index(None, "identity"),
    sqlite_autoincrement=True,
)

counts = Table(
    "counts",
    metadata,
    tenant_column(primary_key=True),
    Column("people", BigInteger, nullable=False),
    Column("identities", BigInteger, nullable=False),
    Column("activities", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),  # the last that was given to an activity
)
