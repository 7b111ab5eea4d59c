"""No unique index: a thing done twice shows."""

from sqlalchemy import Column, String, Table

from martech.kernel.columns import Position, tenant_column
from martech.kernel.db import module_metadata

metadata = module_metadata("kitchen")

log = Table(
    "log",
    metadata,
    Column("id", Position, primary_key=True),
    tenant_column(),
    Column("line", String, nullable=False),
)
