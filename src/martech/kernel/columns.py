"""The column types that both databases store alike, and the names of constraints."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Uuid,
)
from sqlalchemy.types import TypeDecorator
from uuid_utils.compat import uuid7

Id = Uuid
Position = BigInteger().with_variant(Integer(), "sqlite")  # only INTEGER is SQLite's row id

CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored and returned in UTC (SQLite would forget the zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _aware(value).astimezone(UTC)

    def bind_processor(self, dialect: Dialect) -> Any:
        """On SQLite straight to the text that SQLAlchemy would make of it, in a fifth of the
        time: a batch of the bus binds thousands."""
        return _as_text if dialect.name == "sqlite" else super().bind_processor(dialect)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone; use the transaction's `now`.")
    return value


def _as_text(value: datetime | None) -> str | None:
    if value is None:
        return None
    return _aware(value).astimezone(UTC).isoformat(" ", "microseconds")[:-6]  # without +00:00


class Words(TypeDecorator[str]):
    """Text that nobody has looked at, such as an exception's: what a database cannot store of it
    (NUL, half of a pair) is replaced, so that it does not stand in the way of what it is about."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


class Json(TypeDecorator[object]):
    """Free JSON as bytes, written and read by msgspec; the same on both databases, NUL included."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: object | None, dialect: Dialect) -> bytes | None:
        return None if value is None else msgspec.json.encode(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> object | None:
        return None if value is None else msgspec.json.decode(value)


def new_id() -> UUID:
    """An id that nobody has; rows in order of their ids are in order of time."""
    return uuid7()


def tenant_column(*, primary_key: bool = False) -> Column[object]:
    """The column that both walls look for. Every table of a module has it."""
    return Column("tenant", Id, nullable=False, primary_key=primary_key)


def bare_metadata(schema: str) -> MetaData:
    """One module's schema. No foreign key can leave it: other modules are other MetaData."""
    return MetaData(schema=schema, naming_convention=CONVENTION)


def table(metadata: MetaData, name: str) -> Table:
    """One of the kernel's own tables in a module's schema."""
    return metadata.tables[f"{metadata.schema}.{name}"]
