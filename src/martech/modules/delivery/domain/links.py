"""Links that know whose mail they stood in: signed, and leading nowhere but to what is stored.

/c/<token>   a link of the mail was followed      tenant · message · link · signature
/o/<token>   its picture was loaded               tenant · message · signature
/u/<token>   no more of these                     tenant · message · signature

Those of a preview are made alike, for no message at all: they look the same and do nothing.
"""

import hmac
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from functools import lru_cache
from hashlib import sha256
from typing import Literal
from uuid import UUID

import msgspec

Kind = Literal["c", "o", "u"]

LINK_BYTES = 12
MAC_BYTES = 16
ID_BYTES = 16
NOBODYS = UUID(bytes=b"only-in-previews")
"""The message of a link in a preview; no message is called so."""

SIZES: dict[str, int] = {"c": LINK_BYTES, "o": 0, "u": 0}


class Token(msgspec.Struct, frozen=True, gc=False):
    """What a token says; to be believed when it `holds`."""

    kind: Kind
    tenant: UUID
    message_id: UUID
    link_id: str
    """Of a click; empty otherwise."""

    said: bytes
    mac: bytes

    @property
    def previews(self) -> bool:
        """Whether it stood in a preview. To know that no key is needed: it is worth nothing."""
        return self.message_id == NOBODYS

    def holds(self, key: bytes) -> bool:
        """Whether the tenant's *key* signed it."""
        return hmac.compare_digest(_mac(key, self.kind, self.said), self.mac)


class Signer(msgspec.Struct, frozen=True, gc=False):
    """Makes the tokens of one tenant."""

    key: bytes
    tenant: UUID
    previews: bool = False

    def token(self, kind: Kind, message_id: UUID, link_id: str = "") -> str:
        message = NOBODYS if self.previews else message_id
        said = self.tenant.bytes + message.bytes + bytes.fromhex(link_id)
        return urlsafe_b64encode(said + _mac(self.key, kind, said)).decode()

    def url(self, base: str, kind: Kind, message_id: UUID, link_id: str = "") -> str:
        """*base* is where we are reached, such as ``https://mail.example``."""
        return f"{base}/{kind}/{self.token(kind, message_id, link_id)}"


def previewing(tenant: UUID) -> Signer:
    """Its tokens are as long, so that nothing else of a mail changes with them. No secret signs
    them, as they are worth nothing."""
    return Signer(b"", tenant, previews=True)


def opened(kind: Kind, token: str) -> Token | None:
    """What *token* says, or None if it is none. Nothing is verified yet: see `Token.holds`."""
    ends = 2 * ID_BYTES + SIZES[kind]
    try:
        data = b64decode(token, altchars=b"-_", validate=True)
    except (NotBase64, ValueError):
        return None
    if len(data) != ends + MAC_BYTES:
        return None
    return Token(
        kind,
        UUID(bytes=data[:ID_BYTES]),
        UUID(bytes=data[ID_BYTES : 2 * ID_BYTES]),
        data[2 * ID_BYTES : ends].hex(),
        data[:ends],
        data[ends:],
    )


@lru_cache(4096)
def link_id(url: str) -> str:
    """The same for the same URL, always."""
    return sha256(url.encode()).digest()[:LINK_BYTES].hex()


def _mac(key: bytes, kind: str, said: bytes) -> bytes:
    return hmac.digest(key, kind.encode() + said, "sha256")[:MAC_BYTES]
