"""The rules of access. Pure: values and the time in, values out.

viewer ⊂ editor ⊂ admin ⊂ owner        what a role may do; a person's key never does more

              ┌──────── expire ────────▶ expired
active ───────┼──────── revoke ────────▶ revoked
   └─ rotate ─▶ retiring ─ overlap ends ──▲
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from martech.kernel.errors import Conflict, Invalid
from martech.modules.access.contract import KeyStatus, Role

ROLES: Final[dict[Role, frozenset[str]]] = {
    "viewer": frozenset({"*:read"}),
    "editor": frozenset({"*:read", "*:write"}),
    "admin": frozenset({"*:read", "*:write", "*:manage"}),
    "owner": frozenset({"*:*"}),
}

VERBS: Final = ("read", "write", "manage", "hear", "operate")
"""Who hears a module's events learns all that it tells, and who operates one what was told to it:
of the roles only the owner's may."""

_SCOPE: Final = re.compile(rf"(?P<module>[a-z][a-z0-9_]*|\*):({'|'.join(VERBS)}|\*)")
EVERYTHING: Final = ROLES["owner"]
OVERLAP: Final = timedelta(days=1)
LONGEST_OVERLAP: Final = timedelta(days=30)

_TENANTS: Final = UUID("5d6a3f0e-6f0b-5c8e-9c5e-0c3a4f1d2b7a")
LONGEST_NAME: Final = 100
_ADDRESS: Final = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s.\x00-\x1f]+(\.[^@\s.\x00-\x1f]+)+")


def tenant_name(name: str) -> str:
    """*name* as we keep it: without idle spaces. Raises `Invalid`."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise Invalid(f"A tenant's name is 1 to {LONGEST_NAME} printable characters.", field="name")
    return name


def tenant_id(name: str) -> UUID:
    """The tenant of that name, in capitals or not, whether it was opened or not.

    Two people who open it at once open one tenant, and nobody needs to look across tenants to
    find it: that is what the walls forbid. Raises `Invalid`.
    """
    return uuid5(_TENANTS, tenant_name(name).casefold())


def address(email: str) -> str:
    """*email* as we keep it: trimmed, in lower case. Raises `Invalid`."""
    email = email.strip().lower()
    if len(email) > 254 or not _ADDRESS.fullmatch(email):
        raise Invalid("This is not an e-mail address. Send name@example.com.", field="email")
    return email


def check_scopes(scopes: Iterable[str], modules: Sequence[str] = ()) -> None:
    """Raise `Invalid` for a scope that no route can ask for: it would be granted, and be worth
    nothing. *modules* are all that there are; where nobody knows them, any name may be one."""
    for scope in sorted(scopes):
        found = _SCOPE.fullmatch(scope)
        if found is None or (modules and found["module"] not in (*modules, "*")):
            there = f"the modules are {', '.join(modules)}; the verbs" if modules else "the verbs"
            raise Invalid(
                f"{scope[:80]!r} is not a scope. Write MODULE:VERB, * for any: {there} are "
                f"{', '.join(VERBS)}.",
                field="scopes",
            )


def status(now: datetime, expires_at: datetime | None, revoked_at: datetime | None) -> KeyStatus:
    if revoked_at is not None and revoked_at <= now:
        return "revoked"
    if expires_at is not None and expires_at <= now:
        return "expired"
    return "active" if revoked_at is None else "retiring"


def expiry(now: datetime, wanted: datetime | None) -> datetime | None:
    """When a new key ends. Raises `Invalid` if that is over already."""
    if wanted is not None and wanted.tzinfo is None:
        raise Invalid(
            "expires_at has no time zone. Write 2027-01-31T00:00:00Z.", field="expires_at"
        )
    if wanted is not None and wanted <= now:
        raise Invalid("expires_at is in the past. Send a later time, or none.", field="expires_at")
    return wanted


def renewed(now: datetime, created_at: datetime, expires_at: datetime | None) -> datetime | None:
    """When the successor of a key ends: it lives as long as the key itself was to."""
    if expires_at is None:
        return None
    life = expires_at - created_at
    return now + min(life, datetime.max.replace(tzinfo=now.tzinfo) - now)


def retirement(now: datetime, standing: KeyStatus, overlap: timedelta) -> datetime:
    """Until when a rotated key works beside its successor. Raises `Conflict` or `Invalid`."""
    if standing == "retiring":
        raise Conflict("The key was rotated already. Rotate its successor.")
    if standing != "active":
        raise Conflict(f"The key is {standing}. Issue a new one.")
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        most = LONGEST_OVERLAP // timedelta(seconds=1)
        raise Invalid(f"overlap_seconds must lie between 0 and {most}.", field="overlap_seconds")
    return now + overlap
