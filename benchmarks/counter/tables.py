"""One row an event name: the cheapest listener there is, so the question is about the bus."""

from sqlalchemy import Column, Integer, String, Table

from martech.kernel.columns import tenant_column
from martech.kernel.db import module_metadata

metadata = module_metadata("counter")

counts = Table(
    "counts",
    metadata,
    tenant_column(primary_key=True),
    Column("event", String, primary_key=True),
    Column("seen", Integer, nullable=False),
)

lags = Table(
    "lags",
    metadata,
    tenant_column(primary_key=True),
    Column("what", String, primary_key=True),  # activity, or entry and a segment
    Column("edge", Integer, primary_key=True, autoincrement=False),
    Column("seen", Integer, nullable=False),
)
