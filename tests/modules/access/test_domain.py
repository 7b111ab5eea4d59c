"""The rules of access, as properties."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from martech.kernel.auth import within
from martech.kernel.errors import Conflict, Invalid
from martech.modules.access import domain

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)

spans = st.timedeltas(timedelta(days=-400), timedelta(days=400))
moments = spans.map(lambda span: NOW + span)
names = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=40)


def test_each_role_may_all_that_the_lower_ones_may_and_more() -> None:
    ranks = [domain.ROLES[role] for role in ("viewer", "editor", "admin", "owner")]

    for lower, higher in pairwise(ranks):
        assert within(lower, higher)
        assert not within(higher, lower)


def test_roles_are_made_of_scopes() -> None:
    for scopes in domain.ROLES.values():
        domain.check_scopes(scopes)


MISSHAPEN = [
    "",
    "profiles",
    "profiles:",
    ":read",
    "profiles:read:x",
    "Profiles:read",
    "profiles:read ",
    "profiles:read\n",
    "**:read",
    "profiles:see",
    "profiles:réad",
    "\0:read",
]


@pytest.mark.parametrize("modules", [(), ("profiles", "tracking")])
@pytest.mark.parametrize("text", MISSHAPEN)
def test_what_has_not_the_form_is_no_scope(text: str, modules: tuple[str, ...]) -> None:
    domain.check_scopes(["profiles:read", "*:manage", "profiles:*", "*:*"], modules)
    with pytest.raises(Invalid) as refused:
        domain.check_scopes(["profiles:read", text], modules)
    assert refused.value.field == "scopes"


def test_a_module_is_misspelt_only_where_all_are_known() -> None:
    domain.check_scopes(["loyalty:read", "loyalty_points:*"])
    with pytest.raises(Invalid, match=r"'profile:read' is not .*: the modules are profiles"):
        domain.check_scopes(["profile:read"], ["profiles"])


@given(names)
def test_a_tenant_is_the_same_however_its_name_is_typed(name: str) -> None:
    assert domain.tenant_id(f"  {name}\t") == domain.tenant_id(name)
    assert domain.tenant_id(domain.tenant_name(name)) == domain.tenant_id(name)


@given(names, names)
def test_other_names_are_other_tenants(one: str, other: str) -> None:
    same = domain.tenant_name(one).casefold() == domain.tenant_name(other).casefold()
    assert (domain.tenant_id(one) == domain.tenant_id(other)) == same


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\0b", "a\x1bb"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        domain.tenant_id(name)
    assert refused.value.field == "name"


@given(st.emails())
def test_an_address_is_kept_as_it_will_be_looked_for(email: str) -> None:
    kept = domain.address(f" {email.upper()} ")
    assert domain.address(kept) == kept


@pytest.mark.parametrize(
    "email",
    ["", "ada", "ada@", "@example.com", "a b@example.com", "ada@x", "a@b..c", "a@" + "b" * 300],
)
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(Invalid) as refused:
        domain.address(email)
    assert refused.value.field == "email"


@given(moments, st.none() | moments, st.none() | moments)
def test_a_key_that_stopped_never_works_again(
    now: datetime, expires: datetime | None, revoked: datetime | None
) -> None:
    works = domain.status(now, expires, revoked) in ("active", "retiring")
    later = domain.status(now + timedelta(days=1), expires, revoked) in ("active", "retiring")

    assert works == all(end is None or now < end for end in (expires, revoked))
    assert works or not later


@given(spans)
def test_a_key_ends_in_the_future_or_never(span: timedelta) -> None:
    assert domain.expiry(NOW, None) is None
    if span > timedelta(0):
        assert domain.expiry(NOW, NOW + span) == NOW + span
    else:
        with pytest.raises(Invalid, match="past"):
            domain.expiry(NOW, NOW + span)


def test_an_end_without_a_zone_is_refused() -> None:
    with pytest.raises(Invalid, match="time zone"):
        domain.expiry(NOW, NOW.replace(tzinfo=None))


@given(st.timedeltas(timedelta(seconds=1), timedelta(days=400)), moments)
def test_a_successor_lives_as_long_as_its_forerunner_was_to(
    life: timedelta, issued: datetime
) -> None:
    assert domain.renewed(NOW, issued, issued + life) == NOW + life
    assert domain.renewed(NOW, issued, None) is None


def test_a_key_that_lives_nearly_for_ever_can_be_renewed() -> None:
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    renewed = domain.renewed(NOW, NOW - timedelta(days=1), last)
    assert renewed is not None
    assert renewed >= last


@given(spans)
def test_a_rotated_key_overlaps_by_what_was_asked_for_within_bounds(overlap: timedelta) -> None:
    if timedelta(0) <= overlap <= domain.LONGEST_OVERLAP:
        assert domain.retirement(NOW, "active", overlap) == NOW + overlap
    else:
        with pytest.raises(Invalid) as refused:
            domain.retirement(NOW, "active", overlap)
        assert refused.value.field == "overlap_seconds"


@pytest.mark.parametrize("standing", ["retiring", "expired", "revoked"])
def test_only_an_active_key_is_rotated(standing: domain.KeyStatus) -> None:
    with pytest.raises(Conflict):
        domain.retirement(NOW, standing, domain.OVERLAP)
