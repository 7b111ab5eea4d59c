"""Where baskets are kept."""

from sqlalchemy import Boolean, Column, Table

from martech.kernel.columns import Id, Json, tenant_column
from martech.kernel.db import module_metadata

METADATA = module_metadata("baskets")

BASKETS = Table(
    "baskets",
    METADATA,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),
    Column("fruits", Json, nullable=False),
    Column("sent", Boolean, nullable=False),
)
