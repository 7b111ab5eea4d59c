"""What is remembered of what came in. The events themselves are in the outbox."""

from sqlalchemy import BigInteger, Column, Date, Index, Integer, LargeBinary, String, Table

from martech.kernel.columns import Id, UtcDateTime, tenant_column
from martech.kernel.db import module_metadata

metadata = module_metadata("tracking")

seen = Table(  # one row an accepted event: kept narrow, for its pages are written at random
    "seen",
    metadata,
    tenant_column(primary_key=True),
    Column("digest", LargeBinary(16), primary_key=True),
    Column("day", Integer, nullable=False),  # an ordinal
    sqlite_with_rowid=False,
)

ledger = Table(
    "ledger",
    metadata,
    tenant_column(primary_key=True),
    Column("day", Date, primary_key=True),
    Column("type", String(8), primary_key=True),
    Column("received", BigInteger, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("duplicate", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

rejections = Table(
    "rejections",
    metadata,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),
    Column("message_id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("field", String),
    Column("received_at", UtcDateTime, nullable=False),
    Index(None, "tenant", "message_id"),
)

retentions = Table(
    "retentions",
    metadata,
    tenant_column(primary_key=True),
    Column("days", Integer, nullable=False),
)
