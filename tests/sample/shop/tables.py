from sqlalchemy import Column, Integer, String, Table

from martech.kernel.columns import tenant_column
from martech.kernel.db import module_metadata

metadata = module_metadata("shop")

prices = Table(
    "prices",
    metadata,
    tenant_column(primary_key=True),
    Column("article", String, primary_key=True),
    Column("version", Integer, nullable=False),
)

sales = Table(
    "sales",
    metadata,
    tenant_column(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("buyer", String, nullable=False),
)
