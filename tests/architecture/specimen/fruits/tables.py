"""Where fruits are kept."""

from sqlalchemy import Boolean, Column, String, Table

from martech.kernel.columns import Id, UtcDateTime, tenant_column
from martech.kernel.db import module_metadata

METADATA = module_metadata("fruits")

FRUITS = Table(
    "fruits",
    METADATA,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),
    Column("name", String, nullable=False),
    Column("planted", UtcDateTime, nullable=False),
    Column("told", Boolean, nullable=False),
)
