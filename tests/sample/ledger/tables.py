"""No unique index anywhere: an effect that happens twice shows."""

from sqlalchemy import Column, Integer, String, Table

from martech.kernel.columns import Position, tenant_column
from martech.kernel.db import module_metadata

metadata = module_metadata("ledger")

lines = Table(
    "lines",
    metadata,
    Column("id", Position, primary_key=True),
    tenant_column(),
    Column("what", String, nullable=False),
    Column("number", Integer, nullable=False),
)

tallies = Table(
    "tallies",
    metadata,
    tenant_column(primary_key=True),
    Column("lines", Integer, nullable=False),
)
