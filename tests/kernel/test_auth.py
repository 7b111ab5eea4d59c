"""API keys: what is signed holds, everything else is refused with its cure."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from martech.kernel.auth import (
    Claims,
    Issuer,
    Keyring,
    Kind,
    Principal,
    allows,
    keys,
    within,
)
from martech.kernel.errors import Unauthorized, Unavailable
from martech.kernel.settings import Settings, SettingsError

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
ISSUER = Issuer(Issuer.make())

words = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
parts = words | st.just("*")
scopes = st.builds("{}:{}".format, parts, parts)
kinds = st.sampled_from(["write", "secret"])
claims = st.builds(
    Claims,
    key=st.uuids(),
    tenant=st.uuids(),
    user=st.none() | st.uuids(),
    scopes=st.frozensets(scopes, max_size=5),
    issued_at=st.just(NOW - timedelta(hours=1)),
    expires_at=st.none() | st.just(NOW + timedelta(days=1)),
)


def keyring() -> Keyring:
    ring = Keyring([keys.armour(ISSUER.public) + "="])
    ring.read_at = NOW
    return ring


def issued(kind: Kind = "secret", **changes: object) -> str:
    minted = Claims(key=uuid4(), tenant=uuid4(), scopes=frozenset({"profiles:read"}), issued_at=NOW)
    return ISSUER.sign(kind, msgspec.structs.replace(minted, **changes))


RING = keyring()
KEY = issued()


@given(kinds, claims)
def test_what_is_signed_is_what_is_read(kind: Kind, minted: Claims) -> None:
    principal = RING.verify(ISSUER.sign(kind, minted), NOW)

    assert principal == Principal(
        tenant=minted.tenant,
        key=minted.key,
        kind="user" if minted.user else kind,
        scopes=minted.scopes,
        user=minted.user,
    )


@given(st.integers(0, len(KEY) * 8 - 1))
def test_a_key_with_any_bit_flipped_is_refused(bit: int) -> None:
    raw = bytearray(KEY.encode())
    raw[bit // 8] ^= 1 << bit % 8

    with pytest.raises(Unauthorized):
        RING.verify(raw.decode("latin-1"), NOW)


@given(st.integers(0, len(KEY) - 1))
def test_a_key_that_was_cut_is_refused(length: int) -> None:
    with pytest.raises(Unauthorized):
        RING.verify(KEY[:length], NOW)


@given(st.text(max_size=200) | st.from_regex(r"mt[ws]_[A-Za-z0-9_-]{0,300}", fullmatch=True))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with pytest.raises(Unauthorized):
        RING.verify(text, NOW)


@given(st.binary(min_size=1, max_size=200), kinds)
def test_a_right_checksum_is_not_a_signature(body: bytes, kind: Kind) -> None:
    armed = keys.armour(body + keys.checksum(kind, body))
    with pytest.raises((Unauthorized, Unavailable)):
        RING.verify(keys.PREFIXES[kind] + armed, NOW)


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("", "begins with mtw_ or mts_"),
        ("sk_live_123", "begins with mtw_ or mts_"),
        (f"{KEY} ", "begins with mtw_ or mts_"),
        ("mts_" + "A" * 5000, "begins with mtw_ or mts_"),
        (KEY[:-1], "copy it again"),
        ("mtw_" + KEY[4:], "copy it again"),
    ],
)
def test_a_refusal_says_what_to_do(text: str, cure: str) -> None:
    with pytest.raises(Unauthorized, match=cure):
        RING.verify(text, NOW)


def test_a_write_key_cannot_be_made_a_secret_one_with_its_checksum_mended() -> None:
    whole = keys.unarmour(issued("write")[4:])
    forged = keys.armour(whole[:-4] + keys.checksum("secret", whole[:-4]))
    with pytest.raises(Unauthorized, match="forged"):
        RING.verify(f"mts_{forged}", NOW)


def test_a_key_of_another_installation_is_refused() -> None:
    stranger = Issuer(Issuer.make())
    minted = Claims(
        key=uuid4(), tenant=uuid4(), scopes=frozenset(), issued_at=NOW - timedelta(days=1)
    )
    with pytest.raises(Unauthorized, match="another installation"):
        RING.verify(stranger.sign("write", minted), NOW)


def test_a_key_that_is_newer_than_our_news_may_be_tried_again() -> None:
    stranger = Issuer(Issuer.make())
    minted = Claims(key=uuid4(), tenant=uuid4(), scopes=frozenset(), issued_at=NOW)
    key = stranger.sign("write", minted)
    ring = keyring()

    with pytest.raises(Unavailable) as refused:
        ring.verify(key, NOW)
    ring.trust(stranger.public)

    assert refused.value.retry_after == 1
    assert ring.verify(key, NOW).tenant == minted.tenant


@given(st.timedeltas(timedelta(0), timedelta(days=400)), st.booleans())
def test_a_key_holds_until_it_expires_seen_before_or_not(after: timedelta, seen: bool) -> None:
    ring, expiry = keyring(), NOW + timedelta(days=30)
    key = issued(expires_at=expiry)
    if seen:
        ring.verify(key, NOW)

    if NOW + after < expiry:
        ring.verify(key, NOW + after)
    else:
        with pytest.raises(Unauthorized, match="expired at 2026-12-21 09:30"):
            ring.verify(key, NOW + after)


@given(st.lists(st.timedeltas(timedelta(0), timedelta(days=9)), min_size=1, max_size=5))
def test_the_earliest_revocation_counts(overlaps: list[timedelta]) -> None:
    ring, key = keyring(), uuid4()
    text = issued(key=key)
    for overlap in overlaps:
        ring.revoke(key, NOW + overlap)
    end = NOW + min(overlaps)

    if end > NOW:
        ring.verify(text, end - timedelta(microseconds=1))
    with pytest.raises(Unauthorized, match="revoked"):
        ring.verify(text, end)


def test_a_host_that_never_heard_of_revocations_takes_write_keys_only() -> None:
    ring = Keyring([keys.armour(ISSUER.public)])

    ring.verify(issued("write"), NOW)
    with pytest.raises(Unavailable, match="not yet heard"):
        ring.verify(issued("secret"), NOW)
    assert ring.age(NOW) is None


def test_a_keyring_remembers_so_many_keys_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("martech.kernel.auth.keyring.REMEMBERED", 3)
    ring, many = keyring(), [issued() for _ in range(5)]
    for key in many * 2:
        ring.verify(key, NOW)

    assert len(ring._known) == 3


@pytest.mark.parametrize("text", ["", "short", "A" * 60, "!" * 43])
def test_what_is_no_public_key_is_refused_at_start(text: str) -> None:
    with pytest.raises(ValueError, match="43 letters"):
        Keyring([text])


def test_a_wrong_issuer_key_is_refused_with_the_name_of_its_setting() -> None:
    right = ISSUER.published
    settings = Settings.from_env({"MARTECH_ISSUER_KEYS": f"{right}, {right}="})

    assert Keyring(settings.issuer_keys).issuers == {ISSUER.id: ISSUER.public}
    with pytest.raises(SettingsError, match="MARTECH_ISSUER_KEYS is wrong: 'abc' is not"):
        Settings.from_env({"MARTECH_ISSUER_KEYS": f"{right},abc"})


@given(scopes, st.frozensets(scopes))
def test_a_scope_allows_itself_and_stars_allow_everything(
    scope: str, others: frozenset[str]
) -> None:
    assert allows(others | {scope}, scope)
    assert allows({"*:*"}, scope)
    assert not allows((), scope)


@given(st.frozensets(scopes), st.frozensets(scopes), st.frozensets(scopes))
def test_scopes_within_scopes_form_an_order(
    small: frozenset[str], middle: frozenset[str], large: frozenset[str]
) -> None:
    assert within(small, small)
    assert within(small, small | middle)
    if within(small, middle) and within(middle, large):
        assert within(small, large)


@given(words, words, st.frozensets(scopes), st.frozensets(scopes))
def test_what_is_within_never_reaches_further(
    module: str, verb: str, wanted: frozenset[str], granted: frozenset[str]
) -> None:
    if within(wanted, granted) and allows(wanted, f"{module}:{verb}"):
        assert allows(granted, f"{module}:{verb}")


def test_audit_names_the_person_and_the_key() -> None:
    key, user = UUID(int=1), UUID(int=2)
    machine = Principal(tenant=uuid4(), key=key, kind="secret", scopes=frozenset())

    assert str(machine) == f"key:{key}"
    assert str(msgspec.structs.replace(machine, user=user)) == f"user:{user} key:{key}"
