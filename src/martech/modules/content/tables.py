"""Where templates are kept.

    templates 1 ──< versions

A template is what people work on, and changes. A version is what was published of it, and never
does: rows are added, and nothing else happens to them.
"""

from sqlalchemy import Column, Integer, String, Table

from martech.kernel.columns import Id, Json, UtcDateTime, tenant_column
from martech.kernel.db import module_metadata

metadata = module_metadata("content")

templates = Table(
    "templates",
    metadata,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),  # begins with its time: the order of making
    Column("name", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("subject", String, nullable=False),
    Column("mjml", String),
    Column("html", String),
    Column("text", String),
    Column("sample", Json, nullable=False),
    Column("version", Integer),  # the latest published
    Column("withdrawn_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    tenant_column(primary_key=True),
    Column("content_id", Id, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),  # that of the template it was made of
    Column("name", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("html", String, nullable=False),
    Column("text", String, nullable=False),
    Column("published_at", UtcDateTime, nullable=False),
)
