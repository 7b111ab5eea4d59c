"""Access: the tenants of this installation, the people who work here, and their API keys.

Told besides, in the kernel's own words: `IssuerKeyPublished`, once, and `Revoked`.
"""

from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from martech.kernel.messages import Event, View, issues_keys, reads

KeyKind = Literal["write", "secret"]
KeyStatus = Literal["active", "retiring", "expired", "revoked"]
Role = Literal["viewer", "editor", "admin", "owner"]


class Tenant(View, frozen=True, kw_only=True):
    id: UUID
    """Follows from the name: see `domain.tenant_id`."""

    name: str
    created_at: datetime


class User(View, frozen=True, kw_only=True):
    """Somebody who works for the tenant."""

    id: UUID
    email: str
    name: str
    role: Role
    created_at: datetime


class Key(View, frozen=True, kw_only=True):
    """What is known of an API key; its token is not."""

    id: UUID
    kind: KeyKind
    name: str
    hint: str
    """Beginning and end of the token (``mts_…x1Yz``), to tell keys apart."""

    status: KeyStatus
    scopes: list[str]
    user_id: UUID | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    """From when on it does not hold; ahead of us while a rotation's overlap lasts."""

    successor: UUID | None
    """The key that a rotation put in its place."""


class IssuedKey(View, frozen=True, kw_only=True):
    key: Key
    token: str
    """The key itself. This is the only time it is shown."""


class OpenedTenant(View, frozen=True, kw_only=True):
    tenant: Tenant
    keys: list[IssuedKey]
    """A write key and a secret key with every scope; none if the tenant was there before."""


class Users(View, frozen=True, kw_only=True):
    data: list[User]
    next: str | None
    """Give it as ``after`` to go on; null on the last page."""


class Keys(View, frozen=True, kw_only=True):
    data: list[Key]
    next: str | None


class AuditEntry(View, frozen=True, kw_only=True):
    """One link of the tenant's chain; keep the last ``number`` and ``hash`` elsewhere."""

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, object]
    hash: str


class AuditEntries(View, frozen=True, kw_only=True):
    data: list[AuditEntry]
    next: str | None


class TenantOpened(Event, frozen=True, kw_only=True):
    name: str


class KeyIssued(Event, frozen=True, kw_only=True):
    SUBJECT = "key_id"

    key_id: UUID
    kind: KeyKind
    scopes: list[str]
    user_id: UUID | None
    expires_at: datetime | None


@issues_keys
class Access(Protocol):
    """What other modules may ask."""

    @reads
    async def tenant(self) -> Tenant:
        """The tenant on whose behalf it is asked. Raises `NotFound`."""
        ...

    @reads
    async def user(self, user_id: UUID) -> User:
        """Raises `NotFound`."""
        ...
