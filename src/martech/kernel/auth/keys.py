"""What an API key is: claims, signed, in one word that survives copying.

    mts_  eyJ…                                 ────────────┐ base64url
    │     claims (msgpack) ‖ signature (Ed25519, 64) ‖ crc32 (4)
    └ mtw_ a write key: it may be seen in a browser, and can only send
      mts_ a secret key: it does what its scopes say

The signature covers the prefix too. The checksum is for people and scanners: a key that was cut
or mistyped is told apart from a forged one without any cryptography. A key has no colon, so
it can be the user name of HTTP Basic.
"""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from hashlib import sha256
from typing import Final, Literal
from uuid import UUID
from zlib import crc32

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from martech.kernel.auth.scopes import Scopes
from martech.kernel.errors import Unauthorized

Kind = Literal["write", "secret"]

PREFIXES: Final[dict[Kind, str]] = {"write": "mtw_", "secret": "mts_"}
LONGEST: Final = 4096
VERSION: Final = 1

_FORM = re.compile(r"(mt[ws]_)([A-Za-z0-9_-]+)", re.ASCII)


class Claims(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What a key says of itself."""

    version: int = VERSION
    issuer: bytes = b""
    """Which public key verifies it: see `issuer_id`."""

    key: UUID
    tenant: UUID
    user: UUID | None = None
    """The person for whom it was issued; None for a machine's."""

    scopes: Scopes
    issued_at: datetime
    expires_at: datetime | None = None


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was read, and not yet believed."""

    kind: Kind
    claims: Claims
    message: bytes
    signature: bytes

    def holds(self, public: Ed25519PublicKey) -> bool:
        """Whether the owner of *public* signed exactly this."""
        try:
            public.verify(self.signature, self.message)
        except InvalidSignature:
            return False
        return True


_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")
_decoder = msgspec.msgpack.Decoder(Claims)


class Issuer:
    """Whoever has the private key."""

    def __init__(self, private: bytes) -> None:
        """*private* is the 32 bytes of an Ed25519 private key."""
        self._private = Ed25519PrivateKey.from_private_bytes(private)
        self.public = self._private.public_key().public_bytes_raw()
        self.id = issuer_id(self.public)
        self.published = armour(self.public)

    @staticmethod
    def make() -> bytes:
        """A new private key."""
        return Ed25519PrivateKey.generate().private_bytes_raw()

    def sign(self, kind: Kind, claims: Claims) -> str:
        """The key's text: to be shown once."""
        body = _encoder.encode(msgspec.structs.replace(claims, issuer=self.id))
        body += self._private.sign(PREFIXES[kind].encode() + body)
        return PREFIXES[kind] + armour(body + checksum(kind, body))


def issuer_id(public: bytes) -> bytes:
    """The name of a public key inside the keys it verifies."""
    return sha256(public).digest()[:8]


def read(text: str) -> Signed:
    """Take a key apart. Raises `Unauthorized` with what to do; verifies no signature."""
    if len(text) > LONGEST or not (form := _FORM.fullmatch(text)):
        raise Unauthorized(
            "This is not an API key: one begins with mtw_ or mts_ and has only letters, digits, "
            "- and _. Send the whole key as Bearer token, or as user name of Basic."
        )
    kind: Kind = "write" if form[1] == PREFIXES["write"] else "secret"
    whole = unarmour(form[2])
    body, tail = whole[:-4], whole[-4:]
    if len(body) <= 64 or tail != checksum(kind, body):
        raise Unauthorized(
            "The API key is damaged: its checksum is wrong. It was cut or mistyped; copy it again."
        )
    try:
        claims = _decoder.decode(body[:-64])
    except msgspec.DecodeError:
        claims = None
    if claims is None or claims.version != VERSION:
        raise Unauthorized("The API key is of a form that is not known here. Issue a new one.")
    message = PREFIXES[kind].encode() + body[:-64]
    return Signed(kind=kind, claims=claims, message=message, signature=body[-64:])


def public_key(text: str) -> bytes:
    """The 32 bytes of an issuer's public key. Raises `ValueError`."""
    raw = unarmour(text.rstrip("="))
    if len(raw) != 32:
        raise ValueError(f"{text!r} is not an issuer's public key: 43 letters of base64url are.")
    return raw


def armour(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unarmour(text: str) -> bytes:
    """The bytes of *text*, empty unless it is exactly how we would write them.

    (The last character has bits to spare: without the second look a key would have several texts.)
    """
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return b""
    return raw if armour(raw) == text else b""


def checksum(kind: Kind, body: bytes) -> bytes:
    return crc32(body, crc32(PREFIXES[kind].encode())).to_bytes(4)
