"""What access does. Every public method is one use case.

Nobody hands out, or takes away, more than they have: neither a role nor a key may exceed the
scopes of the key that asks for it. The command line asks without a key and may do everything.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping, delete, insert, select, update

from martech.kernel.auth import (
    Claims,
    Issuer,
    IssuerKeyPublished,
    Revoked,
    Scopes,
    within,
)
from martech.kernel.clock import reachable
from martech.kernel.columns import new_id
from martech.kernel.db import Transaction
from martech.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from martech.kernel.files import faces, installed
from martech.kernel.paging import Number, cursor, place
from martech.kernel.settings import Settings
from martech.modules.access import domain
from martech.modules.access.contract import (
    Access,
    AuditEntries,
    AuditEntry,
    IssuedKey,
    Key,
    KeyIssued,
    KeyKind,
    Keys,
    OpenedTenant,
    Role,
    Tenant,
    TenantOpened,
    User,
    Users,
)
from martech.modules.access.tables import audit, issuers, keys, tenants, users

NO_TENANT = "There is no such tenant. Open it with `martech tenant create NAME`."


class AccessService(Access):
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    # tenants

    async def open_tenant(self, name: str) -> OpenedTenant:
        """The tenant of that name, with its first keys if it was not there before."""
        if self.tx.tenant != domain.tenant_id(name):
            raise Conflict(
                "A tenant is opened in a unit of work of its own: domain.tenant_id(name)."
            )
        name = domain.tenant_name(name)
        row = {"tenant": self.tx.tenant, "name": name, "created_at": self.tx.now}
        if not await self.tx.insert_new(tenants, [row], returning=["name"]):
            return OpenedTenant(tenant=await self.tenant(), keys=[])
        self.tx.publish(TenantOpened(name=name))
        self.tx.audit("tenant.open", f"tenant:{self.tx.tenant}")
        first = [
            await self.issue("write", name="first write key"),
            await self.issue("secret", name="first secret key", scopes=domain.EVERYTHING),
        ]
        return OpenedTenant(tenant=await self.tenant(), keys=first)

    async def tenant(self) -> Tenant:
        mine = select(tenants).where(tenants.c.tenant == self.tx.tenant)
        row = (await self.tx.execute(mine)).mappings().one_or_none()
        if row is None:
            raise NotFound(NO_TENANT)
        return Tenant(id=row["tenant"], name=row["name"], created_at=row["created_at"])

    # people

    async def add_user(self, email: str, name: str, role: Role) -> User:
        self._may_give(role)
        user_id = new_id()
        row = {
            "tenant": self.tx.tenant,
            "id": user_id,
            "email": domain.address(email),
            "name": name,
            "role": role,
            "created_at": self.tx.now,
        }
        if not await self.tx.insert_new(users, [row], returning=["id"]):
            raise Conflict("Somebody with this address is here. Change that user.", field="email")
        self.tx.audit("user.add", f"user:{user_id}", role=role)
        return await self.user(user_id)

    async def user(self, user_id: UUID) -> User:
        mine = select(users).where(users.c.tenant == self.tx.tenant, users.c.id == user_id)
        row = (await self.tx.execute(mine)).mappings().one_or_none()
        if row is None:
            raise NotFound(f"There is no user {user_id}.")
        return _user(row)

    async def users(self, *, after: str | None = None, limit: int = 100) -> Users:
        mine = select(users).where(users.c.tenant == self.tx.tenant).order_by(users.c.id)
        if after is not None:
            mine = mine.where(users.c.id > place(after, tuple[UUID])[0])
        rows = (await self.tx.execute(mine.limit(limit + 1))).mappings().all()
        return Users(data=[_user(row) for row in rows[:limit]], next=_next(rows, limit))

    async def change_user(
        self, user_id: UUID, *, name: str | None = None, role: Role | None = None
    ) -> User:
        """A lower role revokes the keys that exceed it."""
        await self._let_nobody_sign()
        user = await self.user(user_id)
        changed = msgspec.structs.replace(user, name=name or user.name, role=role or user.role)
        if role is not None and role != user.role:
            self._may_give(user.role)
            self._may_give(role)
            await self._spare_the_last_owner(user)
            await self._revoke_beyond(user_id, domain.ROLES[role])
        mine = update(users).where(users.c.tenant == self.tx.tenant, users.c.id == user_id)
        await self.tx.execute(mine.values(name=changed.name, role=changed.role))
        self.tx.audit("user.change", f"user:{user_id}", role=changed.role)
        return changed

    async def remove_user(self, user_id: UUID) -> None:
        """The user's keys are revoked at once."""
        await self._let_nobody_sign()
        user = await self.user(user_id)
        self._may_give(user.role)
        await self._spare_the_last_owner(user)
        await self._revoke_beyond(user_id, None)
        mine = delete(users).where(users.c.tenant == self.tx.tenant, users.c.id == user_id)
        await self.tx.execute(mine)
        self.tx.audit("user.remove", f"user:{user_id}", role=user.role)

    # keys

    async def issue(
        self,
        kind: KeyKind,
        *,
        name: str,
        scopes: Iterable[str] = (),
        user_id: UUID | None = None,
        expires_at: datetime | None = None,
    ) -> IssuedKey:
        """A new key; its token is in the answer and nowhere else.

        A write key has no scopes: it can only send. A secret key for a user has those of the
        user's role unless fewer are asked for.
        """
        await self._about_to_sign()
        granted = await self._scopes(kind, frozenset(scopes), user_id)
        ends = domain.expiry(self.tx.now, expires_at)
        expires_at = ends and reachable(ends, "expires_at")
        return await self._sign(kind, name, granted, user_id, expires_at)

    async def key(self, key_id: UUID) -> Key:
        mine = select(keys).where(keys.c.tenant == self.tx.tenant, keys.c.id == key_id)
        row = (await self.tx.execute(mine)).mappings().one_or_none()
        if row is None:
            raise NotFound(f"There is no key {key_id}.")
        return self._key(row)

    async def keys(
        self, *, after: str | None = None, limit: int = 100, user_id: UUID | None = None
    ) -> Keys:
        mine = select(keys).where(keys.c.tenant == self.tx.tenant).order_by(keys.c.id)
        if user_id is not None:
            mine = mine.where(keys.c.user_id == user_id)
        if after is not None:
            mine = mine.where(keys.c.id > place(after, tuple[UUID])[0])
        rows = (await self.tx.execute(mine.limit(limit + 1))).mappings().all()
        return Keys(data=[self._key(row) for row in rows[:limit]], next=_next(rows, limit))

    async def rotate(self, key_id: UUID, overlap: timedelta = domain.OVERLAP) -> IssuedKey:
        """A successor with the same rights; the key itself works on until the overlap is over."""
        await self._about_to_sign()
        old = await self.key(key_id)
        self._may_hand_out(frozenset(old.scopes))
        end = domain.retirement(self.tx.now, old.status, overlap)
        expires_at = domain.renewed(self.tx.now, old.created_at, old.expires_at)
        issued = await self._sign(
            old.kind, old.name, frozenset(old.scopes), old.user_id, expires_at
        )
        active = update(keys).where(
            keys.c.tenant == self.tx.tenant, keys.c.id == key_id, keys.c.revoked_at.is_(None)
        )
        done = await self.tx.execute(active.values(successor=issued.key.id, revoked_at=end))
        if not done.rowcount:
            raise Conflict("The key was rotated or revoked at this moment. Look at it again.")
        self.tx.publish(Revoked(key_id=key_id, at=end))
        self.tx.audit("key.rotate", f"key:{key_id}", successor=issued.key.id, ends=end)
        return issued

    async def revoke(self, key_id: UUID) -> Key:
        """The key stops working everywhere within seconds. Revoking twice is harmless."""
        key = await self.key(key_id)
        if not self._covers(frozenset(key.scopes)):
            raise Forbidden("This key may not revoke one that may do more. Use an owner's.")
        if key.status == "revoked":
            return key
        await self._revoke([key_id])
        return msgspec.structs.replace(key, status="revoked", revoked_at=self.tx.now)

    # audit

    async def audit(self, *, after: str | None = None, limit: int = 100) -> AuditEntries:
        """What was done in this module, oldest first."""
        mine = select(audit).where(audit.c.tenant == self.tx.tenant).order_by(audit.c.number)
        if after is not None:
            mine = mine.where(audit.c.number > place(after, tuple[Number])[0])
        rows = (await self.tx.execute(mine.limit(limit + 1))).mappings().all()
        more = cursor(rows[limit - 1]["number"]) if len(rows) > limit else None
        return AuditEntries(data=[_entry(row) for row in rows[:limit]], next=more)

    async def _about_to_sign(self) -> None:
        """From here to the commit nobody's role changes: what is signed cannot be taken back."""
        mine = select(tenants.c.tenant).where(tenants.c.tenant == self.tx.tenant)
        if (await self.tx.execute(mine.with_for_update(read=True))).one_or_none() is None:
            raise NotFound(NO_TENANT)

    async def _let_nobody_sign(self) -> None:
        """From here to the commit: whoever is signing a key has committed, and it will be seen."""
        mine = select(tenants.c.tenant).where(tenants.c.tenant == self.tx.tenant)
        await self.tx.execute(mine.with_for_update())

    async def _scopes(self, kind: KeyKind, wanted: Scopes, user_id: UUID | None) -> Scopes:
        """What a new key gets. Raises `Invalid` or `Forbidden`."""
        domain.check_scopes(wanted)
        if kind == "write":
            if wanted or user_id:
                raise Invalid(
                    "A write key can only send. Leave scopes and user_id out.", field="scopes"
                )
            return wanted
        if user_id is not None:
            most = domain.ROLES[(await self.user(user_id)).role]
            wanted = wanted or most
            if not within(wanted, most):
                raise Invalid("The scopes exceed the user's role. Ask for fewer.", field="scopes")
        if not wanted:
            raise Invalid("A secret key needs scopes, or a user_id.", field="scopes")
        self._may_hand_out(wanted)
        return wanted

    async def _sign(
        self,
        kind: KeyKind,
        name: str,
        scopes: Scopes,
        user_id: UUID | None,
        expires_at: datetime | None,
    ) -> IssuedKey:
        key_id = new_id()
        claims = Claims(
            key=key_id,
            tenant=self.tx.tenant,
            user=user_id,
            scopes=scopes,
            issued_at=self.tx.now,
            expires_at=expires_at,
        )
        token = (await self._issuer()).sign(kind, claims)
        row = {
            "tenant": self.tx.tenant,
            "id": key_id,
            "kind": kind,
            "name": name,
            "hint": f"{token[:4]}…{token[-4:]}",
            "scopes": sorted(scopes),
            "user_id": user_id,
            "created_at": self.tx.now,
            "expires_at": expires_at,
        }
        await self.tx.execute(insert(keys), [row])
        key = await self.key(key_id)
        self._tell_issued(key)
        return IssuedKey(key=key, token=token)

    def _tell_issued(self, key: Key) -> None:
        self.tx.audit("key.issue", f"key:{key.id}", scopes=key.scopes, user_id=key.user_id)
        self.tx.publish(
            KeyIssued(
                key_id=key.id,
                kind=key.kind,
                scopes=key.scopes,
                user_id=key.user_id,
                expires_at=key.expires_at,
            )
        )

    async def _issuer(self) -> Issuer:
        """Whoever signs here; made and made known when the first key is asked for."""
        row = {"number": 1, "private": Issuer.make(), "created_at": self.tx.now}
        new = await self.tx.insert_new(issuers, [row], returning=["number"])
        stored = select(issuers.c.private).order_by(issuers.c.number.desc()).limit(1)
        issuer = Issuer((await self.tx.execute(stored)).scalar_one())
        if new:
            self.tx.publish(IssuerKeyPublished(public=issuer.published))
        return issuer

    async def _revoke_beyond(self, user_id: UUID, scopes: Scopes | None) -> None:
        """Revoke the user's keys that exceed *scopes*; all of them if that is None."""
        theirs = select(keys).where(keys.c.tenant == self.tx.tenant, keys.c.user_id == user_id)
        found = [self._key(row) for row in (await self.tx.execute(theirs)).mappings()]
        await self._revoke(
            key.id
            for key in found
            if key.status in ("active", "retiring")
            and (scopes is None or not within(key.scopes, scopes))
        )

    async def _revoke(self, ids: Iterable[UUID]) -> None:
        for key_id in ids:
            mine = update(keys).where(keys.c.tenant == self.tx.tenant, keys.c.id == key_id)
            await self.tx.execute(mine.values(revoked_at=self.tx.now))
            self.tx.publish(Revoked(key_id=key_id, at=self.tx.now))
            self.tx.audit("key.revoke", f"key:{key_id}")

    async def _spare_the_last_owner(self, user: User) -> None:
        if user.role != "owner":
            return
        owners = select(users.c.id).where(users.c.tenant == self.tx.tenant, users.c.role == "owner")
        if len((await self.tx.execute(owners)).all()) == 1:
            raise Conflict("This is the last owner. Make somebody else an owner first.")

    def _may_give(self, role: Role) -> None:
        if not self._covers(domain.ROLES[role]):
            raise Forbidden(f"This key may not deal with the role {role}. Use the key of one.")

    def _may_hand_out(self, scopes: Scopes) -> None:
        if not self._covers(scopes):
            raise Forbidden("A key cannot hand out more than it has. Ask for fewer scopes.")

    def _covers(self, scopes: Scopes) -> bool:
        return self.tx.principal is None or within(scopes, self.tx.principal.scopes)

    def _key(self, row: RowMapping) -> Key:
        return Key(
            id=row["id"],
            kind=row["kind"],
            name=row["name"],
            hint=row["hint"],
            status=domain.status(self.tx.now, row["expires_at"], row["revoked_at"]),
            scopes=row["scopes"],
            user_id=row["user_id"],
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            revoked_at=row["revoked_at"],
            successor=row["successor"],
        )


class Catalogue:
    """Whose scopes there are, as far as a host can know it from its start: where only some of the
    modules run, others may be anywhere."""

    def __init__(self, settings: Settings) -> None:
        known = faces()
        everything = not settings.modules and known == installed() and len(known) > 1
        self._modules = known if everything else ()

    def check(self, scopes: Iterable[str]) -> None:
        """Raises `Invalid` for what is misspelt."""
        domain.check_scopes(scopes, self._modules)


def _user(row: RowMapping) -> User:
    return User(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        role=row["role"],
        created_at=row["created_at"],
    )


def _entry(row: RowMapping) -> AuditEntry:
    return AuditEntry(
        number=row["number"],
        at=row["at"],
        actor=row["actor"],
        action=row["action"],
        subject=row["subject"],
        detail=msgspec.json.decode(row["detail"], type=dict[str, object]),
        hash=row["hash"].hex(),
    )


def _next(rows: Sequence[RowMapping], limit: int) -> str | None:
    """Where the next page begins, if one more row was found than asked for."""
    return cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
