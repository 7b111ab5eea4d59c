"""A host hears of keys that no longer hold, and copes when it cannot hear."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

from martech.kernel.auth import (
    Claims,
    Follower,
    Issuer,
    IssuerKeyPublished,
    Keyring,
    Revoked,
    revocation,
)
from martech.kernel.clock import TestClock
from martech.kernel.errors import Unauthorized, Unavailable
from martech.kernel.messages import Event, wire_name
from martech.kernel.outbox import Recorded

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
TENANT = uuid4()


class Issuing:
    """An issuer and its outbox, which can be cut off."""

    def __init__(self) -> None:
        self.issuer = Issuer(Issuer.make())
        self.away = False
        self.read_times = 0
        self.said: list[Recorded] = []
        self.say(IssuerKeyPublished(public=self.issuer.published))

    def say(self, event: Event) -> None:
        self.said.append(
            Recorded(
                position=len(self.said) + 1,
                id=uuid4(),
                source="/martech/issuing",
                type=wire_name(type(event)),
                tenant=TENANT,
                subject="",
                time=NOW,
                data=msgspec.Raw(msgspec.json.encode(event)),
            )
        )

    async def read(self, *, after: int, types: Sequence[str], items: int = 500) -> list[Recorded]:
        self.read_times += 1
        if self.away:
            raise Unavailable("The issuer is away.")
        behind = [r for r in self.said if r.position > after and r.type in types]
        return behind[:items]

    def key(self, key_id: UUID | None = None) -> str:
        claims = Claims(
            key=key_id or uuid4(),
            tenant=TENANT,
            scopes=frozenset({"profiles:read"}),
            issued_at=NOW - timedelta(days=1),
        )
        return self.issuer.sign("secret", claims)


@pytest.fixture
def issuing() -> Issuing:
    return Issuing()


@pytest.fixture
def clock() -> TestClock:
    return TestClock(NOW)


async def test_a_host_that_begins_knows_whom_to_believe_and_whom_not(
    issuing: Issuing, clock: TestClock
) -> None:
    good, bad = uuid4(), uuid4()
    for _ in range(1200):  # more than a page
        issuing.say(Revoked(key_id=uuid4(), at=NOW))
    issuing.say(Revoked(key_id=bad, at=NOW))
    keyring = Keyring()

    await Follower(keyring, issuing, clock).begin()

    assert keyring.verify(issuing.key(good), NOW).key == good
    with pytest.raises(Unauthorized, match="revoked"):
        keyring.verify(issuing.key(bad), NOW)


async def test_a_revocation_takes_effect_as_soon_as_the_issuer_wakes_us(
    issuing: Issuing, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation, "POLL_SECONDS", 3600)  # nobody looks of their own accord
    keyring, wake, key_id = Keyring(), asyncio.Event(), uuid4()
    follower, key = Follower(keyring, issuing, clock), issuing.key(key_id)
    await follower.begin()
    keyring.verify(key, NOW)

    following = asyncio.create_task(follower.run(wake))
    issuing.say(Revoked(key_id=key_id, at=NOW))
    wake.set()
    while key_id not in keyring.revoked:
        await asyncio.wait([following], timeout=0.001)
    following.cancel()

    with pytest.raises(Unauthorized, match="revoked"):
        keyring.verify(key, NOW)


@pytest.mark.parametrize("told_since", [0, 1, 5])
async def test_after_the_issuers_database_was_restored_what_it_tells_is_heard(
    issuing: Issuing, clock: TestClock, told_since: int
) -> None:
    keyring, stolen = Keyring(), uuid4()
    follower = Follower(keyring, issuing, clock)
    for _ in range(3):
        issuing.say(Revoked(key_id=uuid4(), at=NOW))
    await follower.begin()
    del issuing.said[2:]  # the backup had no more
    await follower.catch_up()
    for _ in range(told_since):
        issuing.say(Revoked(key_id=uuid4(), at=NOW))
    issuing.say(Revoked(key_id=stolen, at=NOW))

    await follower.catch_up()

    assert stolen in keyring.revoked


async def test_with_the_issuer_away_known_keys_keep_working_and_the_list_ages(
    issuing: Issuing, clock: TestClock
) -> None:
    keyring = Keyring()
    follower, key = Follower(keyring, issuing, clock), issuing.key()
    await follower.begin()
    issuing.away = True
    clock.move(timedelta(minutes=10))
    with pytest.raises(Unavailable):
        await follower.catch_up()

    assert keyring.verify(key, clock.now()).tenant == TENANT
    assert keyring.age(clock.now()) == timedelta(minutes=10)


async def test_the_follower_outlives_an_outage(issuing: Issuing, clock: TestClock) -> None:
    issuing.away = True
    keyring, wake = Keyring(), asyncio.Event()
    follower = Follower(keyring, issuing, clock)
    await follower.begin()
    following = asyncio.create_task(follower.run(wake))
    wake.set()
    async with asyncio.timeout(2):
        while issuing.read_times < 2:
            await asyncio.wait([following], timeout=0.001)
        issuing.away = False
        wake.set()
        while keyring.read_at is None:
            await asyncio.wait([following], timeout=0.001)

    assert not following.done()
    following.cancel()


async def test_a_host_starts_from_its_snapshot_when_the_issuer_is_away(
    issuing: Issuing, clock: TestClock, tmp_path: Path
) -> None:
    good, bad = uuid4(), uuid4()
    issuing.say(Revoked(key_id=bad, at=NOW))
    snapshot = tmp_path / "state" / "keys.json"
    await Follower(Keyring(), issuing, clock, snapshot=snapshot).begin()
    issuing.away = True
    clock.move(timedelta(hours=3))

    keyring = Keyring()
    await Follower(keyring, issuing, clock, snapshot=snapshot).begin()

    assert keyring.verify(issuing.key(good), clock.now()).key == good
    assert keyring.age(clock.now()) == timedelta(hours=3)
    with pytest.raises(Unauthorized, match="revoked"):
        keyring.verify(issuing.key(bad), clock.now())
    assert snapshot.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"read_at":"2026-11-21T09:30:00Z"}'])
async def test_a_broken_snapshot_is_as_good_as_none(
    issuing: Issuing, clock: TestClock, tmp_path: Path, content: bytes
) -> None:
    snapshot = tmp_path / "keys.json"
    snapshot.write_bytes(content)
    issuing.away = True
    keyring = Keyring([issuing.issuer.published])

    await Follower(keyring, issuing, clock, snapshot=snapshot).begin()

    with pytest.raises(Unavailable, match="not yet heard which keys were revoked"):
        keyring.verify(issuing.key(), NOW)


async def test_a_host_that_starts_anew_forgets_nothing_it_can_hear_again(
    issuing: Issuing, clock: TestClock, tmp_path: Path
) -> None:
    """The outbox is read from the beginning: a snapshot that lacks something does no harm."""
    snapshot, bad = tmp_path / "keys.json", uuid4()
    await Follower(Keyring(), issuing, clock, snapshot=snapshot).begin()
    kept = snapshot.read_bytes()
    issuing.say(Revoked(key_id=bad, at=NOW))
    await Follower(Keyring(), issuing, clock, snapshot=snapshot).begin()
    snapshot.write_bytes(kept)

    keyring = Keyring()
    await Follower(keyring, issuing, clock, snapshot=snapshot).begin()

    assert bad in keyring.revoked


async def test_news_that_nobody_can_read_does_not_hide_the_next_revocation(
    issuing: Issuing, clock: TestClock
) -> None:
    bad, keyring = uuid4(), Keyring()
    issuing.say(Revoked(key_id=uuid4(), at=NOW))
    unreadable = msgspec.structs.replace(issuing.said[-1], data=msgspec.Raw(b'{"key_id":7}'))
    issuing.said[-1] = unreadable
    issuing.say(Revoked(key_id=bad, at=NOW))

    await Follower(keyring, issuing, clock).begin()

    with pytest.raises(Unauthorized, match="revoked"):
        keyring.verify(issuing.key(bad), NOW)
