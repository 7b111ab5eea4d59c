"""The audit chain: whatever is done to it afterwards shows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from martech.kernel.audit import Audited, ChainBroken, Entry, Head, link, verify
from martech.kernel.auth import Principal

TENANT = uuid4()
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)

principals = st.none() | st.builds(
    Principal,
    tenant=st.just(TENANT),
    key=st.uuids(),
    kind=st.just("secret"),
    scopes=st.just(frozenset[str]()),
    user=st.none() | st.uuids(),
)
acts = st.builds(
    Audited,
    st.just(TENANT),
    principals,
    st.text(max_size=8),
    st.text(max_size=8),
    st.dictionaries(st.text(max_size=4), st.none() | st.integers() | st.text(max_size=4)),
)


def chain(done: list[Audited]) -> list[Entry]:
    head, entries = Head(), []
    for number, act in enumerate(done):
        entries.append(link(head, act, NOW + timedelta(seconds=number)))
        head = entries[-1].head
    return entries


chains = st.lists(acts, min_size=1, max_size=8).map(chain)


def changed(entry: Entry, field: str) -> Entry:
    """*entry* with one field altered, and everything else as it was."""
    alter: dict[type, Callable[..., object]] = {
        UUID: lambda v: UUID(int=v.int ^ 1),
        int: lambda v: v + 1,
        datetime: lambda v: v + timedelta(microseconds=1),
        str: lambda v: v + "x",
        bytes: lambda v: v[:-1] + bytes([v[-1] ^ 1]),
    }
    value = getattr(entry, field)
    return msgspec.structs.replace(entry, **{field: alter[type(value)](value)})


@given(chains)
def test_an_untouched_chain_holds(entries: list[Entry]) -> None:
    assert verify(entries, head=entries[-1].head) == entries[-1].head


@given(chains, st.data())
def test_a_change_of_any_field_shows(entries: list[Entry], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(entries) - 1))
    field = data.draw(st.sampled_from([f.name for f in msgspec.structs.fields(Entry)]))
    entries[index] = changed(entries[index], field)

    with pytest.raises(ChainBroken) as broken:
        verify(entries, head=None)
    assert broken.value.number == index + 1


@given(chains, st.data())
def test_a_removed_entry_shows(entries: list[Entry], data: st.DataObject) -> None:
    kept = entries[-1].head
    del entries[data.draw(st.integers(0, len(entries) - 1))]

    with pytest.raises(ChainBroken):
        verify(entries, head=kept)


@given(chains, st.randoms())
def test_another_order_shows(entries: list[Entry], random: object) -> None:
    shuffled = entries.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    if shuffled == entries:
        verify(shuffled)
    else:
        with pytest.raises(ChainBroken):
            verify(shuffled)


@given(chains, acts, st.data())
def test_an_entry_put_between_shows(
    entries: list[Entry], act: Audited, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(entries) - 1))
    before = entries[index - 1].head if index else Head()
    entries.insert(index, link(before, act, NOW - timedelta(days=1)))

    with pytest.raises(ChainBroken):
        verify(entries)


@given(chains, st.data())
def test_a_chain_can_be_verified_in_pages(entries: list[Entry], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(entries)))

    head = verify(entries[:cut])
    assert verify(entries[cut:], after=head) == entries[-1].head


@given(chains)
def test_a_chain_of_another_tenant_does_not_pass_for_ours(entries: list[Entry]) -> None:
    theirs = [msgspec.structs.replace(entry, tenant=uuid4()) for entry in entries]

    with pytest.raises(ChainBroken):
        verify(theirs)
