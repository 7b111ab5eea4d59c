"""Who may call a route: a key, and the scope that the route declares.

Every handler says ``opt={"scope": "profiles:read"}`` or ``opt={"public": True}``; a host with a
route that says neither does not start.
The key is verified here, without asking anybody.
"""

from base64 import b64decode
from binascii import Error as NotBase64
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Guard

from martech.kernel import telemetry
from martech.kernel.auth import Keyring, Principal
from martech.kernel.clock import Clock
from martech.kernel.errors import Forbidden, Unauthorized

Connection = ASGIConnection[Any, Any, Any, Any]


def key_of(authorization: str | None) -> str | None:
    """The key in ``Bearer <key>`` or ``Basic base64(<key>:)``; None where there is no header."""
    if not authorization:
        return None
    scheme, _, rest = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip()
        case "basic":
            try:
                return b64decode(rest.strip(), validate=True).decode().partition(":")[0]
            except (NotBase64, UnicodeDecodeError):
                raise Unauthorized(
                    "Authorization is not valid Basic. Send base64 of the key and a colon."
                ) from None
        case _:
            raise Unauthorized(f"Authorization {scheme[:20]!r} is not known. Send Bearer <key>.")


def identify(
    connection: Connection, keyring: Keyring, clock: Clock, otherwise: object = None
) -> Principal:
    """Whose key is in the Authorization header; without one, whose key *otherwise* is.

    Leaves the principal in ``request.auth``. Raises `Unauthorized`.
    """
    key = key_of(connection.headers.get("authorization")) or otherwise
    if not isinstance(key, str):
        raise Unauthorized("A key is needed. Send it as Authorization: Bearer <key>.")
    principal = keyring.verify(key, clock.now())
    connection.scope["auth"] = principal
    if trace := telemetry.current.get():
        trace.tenant = principal.tenant
    return principal


def guard(keyring: Keyring, clock: Clock) -> Guard:
    """Refuses whoever may not call the route; leaves the principal in ``request.auth``."""

    async def authorize(connection: Connection, handler: BaseRouteHandler) -> None:
        scope = handler.opt.get("scope")
        if scope is None:
            return
        principal = identify(connection, keyring, clock)
        if principal.kind == "write":
            raise Forbidden(
                f"This is a write key; it can only send. Use a secret key with {scope}."
            )
        if not principal.may(scope):
            raise Forbidden(f"The key lacks the scope {scope}. Use one that has it.")

    return authorize
