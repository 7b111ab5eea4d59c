"""Routes of the sample shop: what every kind of request looks like."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from martech.kernel.auth import Principal
from martech.kernel.errors import Conflict
from martech.kernel.http.watching import Watch
from martech.kernel.messages import Request, View
from tests.sample.shop.contract import Stock
from tests.sample.shop.service import ShopService

Service = NamedDependency[ShopService]


class Buyer(Request, frozen=True):
    email: str | None = None


class Sell(Request, frozen=True):
    numbers: list[int]
    buyer: Annotated[str, msgspec.Meta(max_length=20)] = "ada"
    traits: Buyer | None = None


class Sales(View, frozen=True):
    new: list[int]


class Version(View, frozen=True):
    version: int


class Whose(View, frozen=True):
    tenant: str


class ShopController(Controller):
    @get("/stock", operation_id="stock", opt={"scope": "shop:read"})
    async def stock(
        self,
        service: Service,
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    ) -> Stock:
        """What is left."""
        return await service.stock()

    @get(
        "/stock/{left:int}/changes",
        operation_id="changes",
        opt={"scope": "shop:read"},
        media_type="text/event-stream",
    )
    async def changes(
        self, left: FromPath[int], watch: NamedDependency[Watch[ShopService]]
    ) -> Response[Any]:
        """How the stock dwindles, until only so many are left."""
        return await watch.events(lambda shop: shop.stock(), over=lambda stock: stock.left <= left)

    @post("/sales", operation_id="sell", opt={"scope": "shop:write"})
    async def sell(self, data: JSONBody[Sell], service: Service) -> Sales:
        """Sell some; those sold before are left out."""
        return Sales(new=await service.sell(data.numbers, data.buyer))

    @post("/orders/{number:int}", operation_id="order", opt={"scope": "shop:write"})
    async def order(self, number: FromPath[int], service: Service) -> Sales:
        """One article, which somebody else may have bought."""
        new = await service.sell([number])
        if not new:
            raise Conflict("It is sold. Choose another.")
        return Sales(new=new)

    @put(
        "/prices/{article:str}",
        operation_id="price",
        opt={"scope": "shop:write"},
        status_code=201,
    )
    async def price(
        self, article: FromPath[str], service: Service, principal: NamedDependency[Principal]
    ) -> Response[Version]:
        """Two dependencies: Litestar resolves them in tasks of their own."""
        version = await service.change_price(article)
        if article == "gold":
            raise Conflict("Gold has no price. Choose another article.")
        if article == "glass":
            raise ZeroDivisionError(article)
        headers = {"etag": f'"{version}"', "x-changed-by": str(principal)}
        return Response(Version(version=version), headers=headers)

    @get("/whose", operation_id="whose", opt={"scope": "shop:read"})
    async def whose(self, principal: NamedDependency[Principal]) -> Whose:
        return Whose(tenant=str(principal.tenant))


class Protocol(Controller):
    """A route whose path somebody else has fixed."""

    @get("/v1/ping", operation_id="ping", opt={"public": True}, sync_to_thread=False)
    def ping(self) -> dict[str, bool]:
        return {"success": True}
