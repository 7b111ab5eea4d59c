"""The end of a page comes back as it went, and nothing else is taken for one."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from martech.kernel import paging
from martech.kernel.errors import Invalid
from martech.kernel.paging import Moment, Number, Small, Word

WORDS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))
MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(st.uuids(), st.integers(0, 2**63 - 1), WORDS, MOMENTS)
def test_a_place_comes_back_as_it_went(id_: UUID, number: int, word: str, at: datetime) -> None:
    written = paging.cursor(id_, number, word, at)
    assert paging.place(written, tuple[UUID, Number, Word, Moment]) == (id_, number, word, at)


@pytest.mark.parametrize(
    ("after", "kind"),
    [
        ("nonsense", tuple[UUID]),
        ("", tuple[UUID]),
        (paging.cursor("x"), tuple[UUID]),
        (paging.cursor(1, 2), tuple[Number]),
        (paging.cursor(-1), tuple[Number]),
        (paging.cursor(2**63), tuple[Number]),
        (paging.cursor(2**31), tuple[Small]),
        (paging.cursor("a\0b"), tuple[Word]),
        (b'["\\ud800"]'.hex(), tuple[Word]),
        (b'["2026-01-01T00:00:00"]'.hex(), tuple[Moment]),
        (b'["0001-01-01T00:00:00+23:59"]'.hex(), tuple[Moment]),
        (b'["9999-12-31T23:59:59-23:59"]'.hex(), tuple[Moment]),
        (("[" * 100_000).encode().hex(), tuple[UUID]),
    ],
)
def test_whatever_is_no_place_is_refused(after: str, kind: type[object]) -> None:
    with pytest.raises(Invalid, match="no page's `next`") as refused:
        paging.place(after, kind)
    assert refused.value.field == "after"
    assert msgspec.json.encode(refused.value.detail)
