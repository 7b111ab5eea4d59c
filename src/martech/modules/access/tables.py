"""Where tenants, their people and what is known of their keys are kept."""

from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table, UniqueConstraint

from martech.kernel.columns import Id, Json, UtcDateTime, tenant_column
from martech.kernel.db import module_metadata

metadata = module_metadata("access")

audit = metadata.tables["access.audit"]

tenants = Table(
    "tenants",
    metadata,
    tenant_column(primary_key=True),
    Column("name", String(100), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

users = Table(
    "users",
    metadata,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),
    Column("email", String(254), nullable=False),
    Column("name", String, nullable=False),
    Column("role", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("tenant", "email"),
)

keys = Table(
    "keys",
    metadata,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("hint", String, nullable=False),
    Column("scopes", Json, nullable=False),
    Column("user_id", Id),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("successor", Id),
    Index(None, "tenant", "user_id"),
)

# One issuer signs for the whole installation: its rows are no tenant's (docs/decisions/0009).
issuers = Table(
    "issuers",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("private", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)
