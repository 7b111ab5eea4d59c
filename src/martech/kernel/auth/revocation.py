"""How a host hears of keys that no longer hold.

It reads the issuer's outbox from the beginning, into memory, whenever it starts: there are few
such events, and a set that is built anew cannot have drifted. A snapshot on its own disk
stands in while the issuer cannot be reached.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

import msgspec

from martech.kernel.auth.keyring import Keyring
from martech.kernel.auth.keys import armour, public_key
from martech.kernel.clock import Clock
from martech.kernel.messages import Event, wire_name
from martech.kernel.outbox import Recorded
from martech.kernel.trouble import Trouble

POLL_SECONDS: Final = 1.0
PAGE: Final = 500
SAVED_EVERY: Final = timedelta(minutes=1)

log = logging.getLogger(__name__)


class Revoked(Event, frozen=True, kw_only=True):
    """From *at* on, which may lie ahead, the key does not hold. Nothing makes it hold again."""

    SUBJECT = "key_id"

    key_id: UUID
    at: datetime


class IssuerKeyPublished(Event, frozen=True, kw_only=True):
    """What is signed with the private half is to be believed. ``public`` is base64url."""

    public: str


NEWS_TYPES: Final = (wire_name(Revoked), wire_name(IssuerKeyPublished))


class News(Protocol):
    """The issuer's outbox, wherever it is."""

    async def read(
        self, *, after: int, types: Sequence[str], items: int = PAGE
    ) -> list[Recorded]: ...


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    read_at: datetime
    issuers: list[str]
    revoked: dict[UUID, datetime]


class Follower:
    """Keeps a keyring up to date with the issuer."""

    def __init__(
        self, keyring: Keyring, news: News | None, clock: Clock, *, snapshot: Path | None = None
    ) -> None:
        """*news* is None where the issuer is neither hosted nor known as a peer."""
        self._keyring = keyring
        self._news = news
        self._clock = clock
        self._snapshot = snapshot
        self._last: Recorded | None = None
        self._saved_at: datetime | None = None
        self._trouble = Trouble(log)

    async def begin(self) -> None:
        """Know what can be known before the first request: from the issuer, else from the disk."""
        self.load()
        await self._try_to_catch_up()

    async def run(self, wake: asyncio.Event | None = None) -> None:
        """Follow until cancelled. *wake* cuts the wait short when the issuer is in this process."""
        wake = wake or asyncio.Event()
        while self._news is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await wake.wait()
            wake.clear()
            await self._try_to_catch_up()

    async def _try_to_catch_up(self) -> None:
        try:
            await self.catch_up()
        except Exception as exc:  # noqa: BLE001 - whatever it is, the list only gets older
            self._trouble.begins("revocations cannot be read", str(exc))
        else:
            self._trouble.ends("revocations can be read again")

    async def catch_up(self) -> None:
        """Hear everything that was said until now. Raises what the feed raises."""
        if self._news is None:
            return
        now, changed = self._clock.now(), False
        page = await self._since(self._news)
        while page:
            for record in page:
                try:
                    self._hear(record)
                except ValueError:  # DecodeError is one; the next revocation must still be heard
                    log.exception("news of keys at position %d is unreadable", record.position)
                self._last = record
                changed = True
            page = await self._news.read(after=record.position, types=NEWS_TYPES, items=PAGE)
        self._keyring.read_at = now
        if changed or self._saved_at is None or now - self._saved_at >= SAVED_EVERY:
            self._save(now)

    async def _since(self, news: News) -> Sequence[Recorded]:
        """What follows on the last that was heard; and everything, where that is not there any
        more: an outbox that was restored tells other things at the same positions."""
        if self._last is not None:
            page = await news.read(after=self._last.position - 1, types=NEWS_TYPES, items=PAGE)
            if page and page[0].id == self._last.id:
                return page[1:]
            log.warning("the issuer's outbox is another than it was: all of it is read again")
            self._last = None
        return await news.read(after=0, types=NEWS_TYPES, items=PAGE)

    def load(self) -> None:
        """Begin with what was known when this host last ran."""
        if self._snapshot is None or not self._snapshot.is_file():
            return
        try:
            snapshot = msgspec.json.decode(self._snapshot.read_bytes(), type=Snapshot)
            public = [public_key(text) for text in snapshot.issuers]
        except ValueError as exc:  # DecodeError is one; a broken snapshot is as good as none
            log.warning("the snapshot of revocations cannot be read: %s", exc)
            return
        for key in public:
            self._keyring.trust(key)
        for key_id, at in snapshot.revoked.items():
            self._keyring.revoke(key_id, at)
        self._keyring.read_at = snapshot.read_at

    def _hear(self, record: Recorded) -> None:
        if record.type == wire_name(Revoked):
            revoked = msgspec.json.decode(record.data, type=Revoked)
            self._keyring.revoke(revoked.key_id, revoked.at)
        else:
            published = msgspec.json.decode(record.data, type=IssuerKeyPublished)
            self._keyring.trust(public_key(published.public))

    def _save(self, now: datetime) -> None:
        if self._snapshot is None:
            return
        snapshot = Snapshot(
            read_at=now,
            issuers=[armour(k) for k in self._keyring.issuers.values()],
            revoked=self._keyring.revoked,
        )
        self._snapshot.parent.mkdir(parents=True, exist_ok=True)
        beside = self._snapshot.with_suffix(f".{os.getpid()}")
        beside.write_bytes(msgspec.json.encode(snapshot))
        beside.chmod(0o600)
        beside.replace(self._snapshot)  # whole or not at all
        self._saved_at = now
