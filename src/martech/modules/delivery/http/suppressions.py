"""Addresses that nothing is sent to."""

from typing import Annotated
from urllib.parse import unquote

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.types import Scope
from msgspec import Meta

from martech.kernel.messages import Request
from martech.modules.delivery.contract import Suppression, Suppressions
from martech.modules.delivery.service import DeliveryService

Service = NamedDependency[DeliveryService]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows on a page.")]

READ = {"scope": "delivery:read"}
WRITE = {"scope": "delivery:write"}


class Suppress(Request, frozen=True, kw_only=True):
    address: Annotated[str, Meta(min_length=3, max_length=254)]
    source: Annotated[str, Meta(min_length=1, max_length=200)] = "api"
    """Where that comes from: a call, a letter, an import."""


class SuppressionController(Controller):
    path = "/suppressions"

    @get(operation_id="listSuppressions", opt=READ)
    async def page(
        self,
        service: Service,
        address: FromQuery[str | None] = None,
        after: FromQuery[str | None] = None,
        limit: Limit = 100,
    ) -> Suppressions:
        """By address; or why nothing is sent to *address*."""
        if address is not None:
            return Suppressions(data=await service.suppressed(address), next=None)
        return await service.suppressions(after=after, limit=limit)

    @post(operation_id="suppress", opt=WRITE)
    async def suppress(self, data: JSONBody[Suppress], service: Service) -> Suppression:
        """Nothing is sent there from the next claim on. The answer is what holds by hand, if it was
        so already since then; that somebody unsubscribed or bounced holds beside it."""
        return await service.suppress(data.address, source=data.source)

    @delete("/{address:path}", operation_id="liftSuppression", opt=WRITE)
    async def lift(self, address: FromPath[str], service: Service, scope: Scope) -> None:
        """Write there again, whatever the reason against it was."""
        asked = scope["raw_path"].decode().partition(f"{self.path}/")[2]
        await service.lift_suppression(unquote(asked))  # *address* lacks some of its slashes
