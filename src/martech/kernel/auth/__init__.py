"""Who is asking, known without asking anybody.

The issuer (the module whose manifest says so) signs API keys and tells of two things: its public
key, and keys that no longer hold. Every host follows its outbox for these and verifies keys
itself, so a request costs no round trip and the issuer may be down.

scopes       what a key may do
keys         what a key is: claims, signature, checksum
keyring      verifies them, and remembers those it has seen
revocation   how a host hears of keys that no longer hold
"""

from martech.kernel.auth.keyring import Keyring, Principal
from martech.kernel.auth.keys import Claims, Issuer, Kind
from martech.kernel.auth.revocation import Follower, IssuerKeyPublished, Revoked
from martech.kernel.auth.scopes import Scopes, allows, within

__all__ = [
    "Claims",
    "Follower",
    "Issuer",
    "IssuerKeyPublished",
    "Keyring",
    "Kind",
    "Principal",
    "Revoked",
    "Scopes",
    "allows",
    "within",
]
