"""The wall between tenants: the one place from which questions reach the tables."""

from collections.abc import Mapping
from typing import Final, TypeVar
from uuid import UUID

from duckdb import DuckDBPyConnection
from msgspec import convert

R = TypeVar("R")

WALL: Final = """
WITH events AS NOT MATERIALIZED (
    SELECT rowid AS id, profile, type, event, timestamp, properties
    FROM main.events WHERE tenant = $tenant
), messages AS NOT MATERIALIZED (
    SELECT kind, message_id, source, profile, happened_at, url
    FROM main.messages WHERE tenant = $tenant
), merges AS NOT MATERIALIZED (
    SELECT merged, kept FROM main.merges WHERE tenant = $tenant
)
"""
"""A question sees these in place of the tables: their names hide them."""


def rows(
    connection: DuckDBPyConnection,
    tenant: UUID,
    question: str,
    bound: Mapping[str, object],
    row: type[R],
) -> list[R]:
    """Answer *question*, a SELECT with named parameters, for one tenant: each row as a *row*, a
    tuple type. The question may begin with more common tables: ``, orders AS (…) SELECT …``."""
    found = connection.execute(WALL + question, {**bound, "tenant": tenant}).fetchall()
    return [convert(each, row) for each in found]
