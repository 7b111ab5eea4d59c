"""A request whose JSON is decoded strictly, straight into what its handler asks for."""

from typing import Any

from litestar import Request
from litestar.types import Empty

from martech.kernel.auth import Principal
from martech.kernel.errors import Malformed
from martech.kernel.http import bodies
from martech.kernel.http.guards import identify

LARGEST_BODY = 256_000
"""Bytes; a route that needs more, or less, says so with ``request_max_body_size``."""


class JsonRequest(Request[Any, Any, Any]):
    """Litestar would decode first and coerce afterwards: ``"5"`` would pass for a number."""

    async def json(self) -> Any:
        """The body as the type of the handler's ``data``; raises `Malformed` or `Invalid`."""
        if self._json is Empty:
            field = self.route_handler.parsed_data_field
            shape = field.annotation if field else object
            body = await self.plain()
            if rb"\u0000" in body and body.replace(rb"\\", b"").find(rb"\u0000") >= 0:
                raise Malformed("The body holds a NUL character. Leave it out.")
            self._json = bodies.decode(body, shape)
        return self._json

    def sender(self, key: object = None) -> Principal:
        """Whose key is in the Authorization header; without one, whose key *key* is.

        For protocols that carry the key elsewhere; other routes declare a scope. Raises
        `Unauthorized`.
        """
        state = self.app.state
        return identify(self, state.keyring, state.clock, key)

    async def plain(self) -> bytes:
        """The body without its gzip, bounded by the route's `request_max_body_size`."""
        body = await self.body()
        match self.headers.get("content-encoding", "identity").lower():
            case "identity" | "":
                return body
            case "gzip" | "x-gzip":
                limit = self.route_handler.resolve_request_max_body_size()
                return bodies.inflate(body, limit or len(body))
            case other:
                raise Malformed(f"Content-Encoding {other!r} is not known. Send gzip, or none.")
