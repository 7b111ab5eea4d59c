"""The public REST API of access. The tenant is the key's."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from martech.kernel.errors import NotFound
from martech.kernel.messages import Request
from martech.modules.access.contract import (
    AuditEntries,
    IssuedKey,
    Key,
    KeyKind,
    Keys,
    Role,
    Tenant,
    User,
    Users,
)
from martech.modules.access.service import AccessService, Catalogue

Service = NamedDependency[AccessService]
Scopes = NamedDependency[Catalogue]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows on a page.")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]

READ = {"scope": "access:read"}
MANAGE = {"scope": "access:manage"}


class AddUser(Request, frozen=True, kw_only=True):
    email: str
    role: Role
    name: Annotated[str, Meta(max_length=200)] = ""


class ChangeUser(Request, frozen=True, kw_only=True):
    name: Name | None = None
    role: Role | None = None


class IssueKey(Request, frozen=True, kw_only=True):
    kind: KeyKind
    name: Name
    scopes: Annotated[tuple[str, ...], Meta(max_length=100)] = ()
    """``module:verb``, ``*`` for any. Left out for a user's key: all of the user's role."""

    user_id: UUID | None = None
    expires_at: datetime | None = None


class RotateKey(Request, frozen=True, kw_only=True):
    overlap_seconds: Annotated[int, Meta(ge=0, le=2_592_000)] = 86_400
    """How long the old key works beside the new one."""


class TenantController(Controller):
    path = "/tenant"

    @get(operation_id="getTenant", opt={**READ, "raises": [NotFound]})
    async def tenant(self, service: Service) -> Tenant:
        return await service.tenant()


class UserController(Controller):
    path = "/users"

    @post(operation_id="addUser", opt=MANAGE)
    async def add(self, data: JSONBody[AddUser], service: Service) -> User:
        return await service.add_user(data.email, data.name, data.role)

    @get(operation_id="listUsers", opt=READ)
    async def page(
        self, service: Service, after: FromQuery[str | None] = None, limit: Limit = 100
    ) -> Users:
        return await service.users(after=after, limit=limit)

    @get("/{user_id:uuid}", operation_id="getUser", opt=READ)
    async def user(self, user_id: FromPath[UUID], service: Service) -> User:
        return await service.user(user_id)

    @patch("/{user_id:uuid}", operation_id="changeUser", opt=MANAGE)
    async def change(
        self, user_id: FromPath[UUID], data: JSONBody[ChangeUser], service: Service
    ) -> User:
        return await service.change_user(user_id, name=data.name, role=data.role)

    @delete("/{user_id:uuid}", operation_id="removeUser", opt=MANAGE)
    async def remove(self, user_id: FromPath[UUID], service: Service) -> None:
        await service.remove_user(user_id)


class KeyController(Controller):
    path = "/keys"

    @post(operation_id="issueKey", opt={**MANAGE, "raises": [NotFound]})
    async def issue(
        self, data: JSONBody[IssueKey], service: Service, catalogue: Scopes
    ) -> IssuedKey:
        catalogue.check(data.scopes)
        return await service.issue(
            data.kind,
            name=data.name,
            scopes=data.scopes,
            user_id=data.user_id,
            expires_at=data.expires_at,
        )

    @get(operation_id="listKeys", opt=MANAGE)
    async def page(
        self,
        service: Service,
        user_id: FromQuery[UUID | None] = None,
        after: FromQuery[str | None] = None,
        limit: Limit = 100,
    ) -> Keys:
        return await service.keys(after=after, limit=limit, user_id=user_id)

    @get("/{key_id:uuid}", operation_id="getKey", opt=MANAGE)
    async def key(self, key_id: FromPath[UUID], service: Service) -> Key:
        return await service.key(key_id)

    @post("/{key_id:uuid}/rotate", operation_id="rotateKey", opt=MANAGE)
    async def rotate(
        self, key_id: FromPath[UUID], data: JSONBody[RotateKey], service: Service
    ) -> IssuedKey:
        return await service.rotate(key_id, timedelta(seconds=data.overlap_seconds))

    @post("/{key_id:uuid}/revoke", operation_id="revokeKey", opt=MANAGE, status_code=200)
    async def revoke(self, key_id: FromPath[UUID], service: Service) -> Key:
        return await service.revoke(key_id)


class AuditController(Controller):
    path = "/audit"

    @get(operation_id="listAudit", opt=MANAGE)
    async def page(
        self, service: Service, after: FromQuery[str | None] = None, limit: Limit = 100
    ) -> AuditEntries:
        return await service.audit(after=after, limit=limit)
