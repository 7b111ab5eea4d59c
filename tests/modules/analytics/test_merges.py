"""Who answers for whom, kept as merges are told: the same as from all of them at once."""

from collections.abc import Sequence
from uuid import UUID

import duckdb
import pytest
from duckdb import DuckDBPyConnection
from hypothesis import given, settings
from hypothesis import strategies as st

from martech.modules.analytics.adapters.schema import TABLES
from martech.modules.analytics.adapters.writing import Rows, follow
from martech.modules.profiles.contract import ProfilesMerged
from tests.serving import TENANTS

ACME, GLOBEX = TENANTS["acme"], TENANTS["globex"]
SUBSCRIPTION = "keep_who_is_one_person"
Told = tuple[int, int, UUID]
"""Merged, kept, and whose they are."""


@st.composite
def stories(draw: st.DrawFn) -> list[list[Told]]:
    """Batches of merges, in any order: each person is merged once, into an older one."""
    people = draw(st.integers(1, 12))
    told = [
        (person, draw(st.integers(0, person - 1)), tenant)
        for person in range(1, people)
        for tenant in (ACME, GLOBEX)
        if draw(st.booleans())
    ]
    told = draw(st.permutations(told))
    cuts = sorted(draw(st.lists(st.integers(0, len(told)), max_size=5)))
    return [told[a:b] for a, b in zip([0, *cuts], [*cuts, len(told)], strict=True)]


def store() -> DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    for statement in TABLES:
        connection.execute(statement)
    return connection


def keep(connection: DuckDBPyConnection, batch: Sequence[Told], label: int) -> None:
    rows = Rows()
    for merged, kept, tenant in batch:
        merge = ProfilesMerged(kept=UUID(int=kept), merged=UUID(int=merged))
        rows.keep_merges(tenant, [merge])
    rows.insert(connection, SUBSCRIPTION, label)


def answers(connection: DuckDBPyConnection) -> list[tuple[object, ...]]:
    query = "SELECT tenant, merged, told, kept FROM merges ORDER BY ALL"
    return connection.execute(query).fetchall()


@settings(max_examples=150, deadline=None)
@given(stories(), st.booleans())
def test_batch_by_batch_it_leads_to_where_all_at_once_lead(
    batches: list[list[Told]], one_label: bool
) -> None:
    connection = store()
    for label, batch in enumerate(batches):
        keep(connection, batch, 7 if one_label else label)
    kept = answers(connection)
    connection.execute("UPDATE merges SET kept = told")
    follow(connection)
    assert kept == answers(connection)


def test_a_circle_is_refused() -> None:
    connection = store()
    keep(connection, [(1, 2, ACME), (2, 3, ACME)], 1)
    with pytest.raises(ValueError, match="circle"):
        keep(connection, [(3, 1, ACME)], 2)


def test_a_batch_touches_no_more_than_it_changes() -> None:
    """Of whom nobody new was merged, no row is written anew."""
    connection = store()
    keep(connection, [(n, n + 1000, ACME) for n in range(1, 900)], 1)
    connection.execute("UPDATE merges SET kept = $1 WHERE merged = $2", [UUID(int=5), UUID(int=4)])
    keep(connection, [(2000, 2001, ACME), (1007, 2000, ACME)], 2)
    kept = {merged: kept for _, merged, _, kept in answers(connection)}
    assert (kept[UUID(int=7)], kept[UUID(int=1007)]) == (UUID(int=2001), UUID(int=2001))
    assert kept[UUID(int=4)] == UUID(int=5), "it is not looked at"
