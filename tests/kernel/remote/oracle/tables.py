from sqlalchemy import Column, String, Table

from martech.kernel.columns import tenant_column
from martech.kernel.db import module_metadata

metadata = module_metadata("oracle")

words = Table(
    "words",
    metadata,
    tenant_column(primary_key=True),
    Column("word", String, primary_key=True),
)
