"""Verifies API keys, and remembers those that held."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, Literal, NamedTuple
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from martech.kernel.auth import keys
from martech.kernel.auth.scopes import Scopes, allows
from martech.kernel.errors import Unauthorized, Unavailable

REMEMBERED: Final = 16_384
NEVER: Final = datetime.max.replace(tzinfo=UTC)
NEWS: Final = timedelta(seconds=5)
"""A key younger than this may be signed by an issuer that we are about to hear of."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts: a machine (``write``, ``secret``), or a person through a key (``user``)."""

    tenant: UUID
    key: UUID
    kind: Literal["write", "secret", "user"]
    scopes: Scopes
    user: UUID | None = None

    def may(self, scope: str) -> bool:
        return allows(self.scopes, scope)

    def __str__(self) -> str:
        """As audit names it: the person if there is one, and the key."""
        return f"user:{self.user} key:{self.key}" if self.user else f"key:{self.key}"


class Known(NamedTuple):
    principal: Principal
    expires_at: datetime | None


class Keyring:
    """One a host. Without news of revocations it accepts write keys and refuses secret ones."""

    def __init__(self, issuer_keys: Iterable[str] = ()) -> None:
        """*issuer_keys* are public keys known from the settings: base64url of 32 bytes."""
        self.issuers: dict[bytes, bytes] = {}
        self.revoked: dict[UUID, datetime] = {}
        self.read_at: datetime | None = None
        """Until when all revocations are known; None as long as nothing is."""

        self._public: dict[bytes, Ed25519PublicKey] = {}
        self._known: dict[bytes, Known] = {}
        for text in issuer_keys:
            self.trust(keys.public_key(text))
        self._given = bool(self.issuers)

    @property
    def knows_somebody(self) -> bool:
        """Whether it has heard all that the issuers said, or was given an issuer to begin with.

        Halfway through the first reading it trusts some issuers and still refuses their secret
        keys: whoever is told that this host is ready calls it with one.
        """
        return self.read_at is not None or self._given

    def verify(self, text: str, now: datetime) -> Principal:
        """Whose key *text* is. Raises `Unauthorized`, or `Unavailable` if that cannot be told.

        A key seen before costs about a microsecond. It is remembered by its digest: a dump of
        this process's memory holds no keys.
        """
        digest = sha256(text.encode("ascii", "replace")).digest()  # no key has a question mark
        known = self._known.get(digest)
        if known is None:
            known = self._verify(text, now)
            if len(self._known) >= REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[digest] = known
        principal, expires_at = known
        if expires_at is not None and now >= expires_at:
            raise Unauthorized(
                f"The API key expired at {expires_at:%Y-%m-%d %H:%M} UTC. Issue another."
            )
        if self.revoked and now >= self.revoked.get(principal.key, NEVER):
            raise Unauthorized("The API key was revoked. Use the one it was replaced by.")
        if self.read_at is None and principal.kind != "write":
            raise Unavailable(
                "This host has not yet heard which keys were revoked; try again.", retry_after=1
            )
        return principal

    def trust(self, public: bytes) -> None:
        """Believe what the owner of *public* signs."""
        issuer = keys.issuer_id(public)
        self.issuers[issuer] = public
        self._public[issuer] = Ed25519PublicKey.from_public_bytes(public)

    def revoke(self, key: UUID, at: datetime) -> None:
        """From *at* on the key does not hold; the earliest word counts."""
        self.revoked[key] = min(at, self.revoked.get(key, at))

    def age(self, now: datetime) -> timedelta | None:
        """How old our knowledge of revocations is."""
        return None if self.read_at is None else max(now - self.read_at, timedelta())

    def _verify(self, text: str, now: datetime) -> Known:
        signed = keys.read(text)
        claims = signed.claims
        public = self._public.get(claims.issuer)
        if public is None:
            if self.read_at is None or claims.issued_at + NEWS > self.read_at:
                raise Unavailable(
                    "This host has not yet heard of the issuer of this key; try again.",
                    retry_after=1,
                )
            raise Unauthorized(
                "The API key was issued by another installation. Check that the key and the "
                "address of the server belong together."
            )
        if not signed.holds(public):
            raise Unauthorized("The API key is forged: its signature is wrong. Issue a new one.")
        principal = Principal(
            tenant=claims.tenant,
            key=claims.key,
            kind="user" if claims.user else signed.kind,
            scopes=claims.scopes,
            user=claims.user,
        )
        return Known(principal, claims.expires_at)
