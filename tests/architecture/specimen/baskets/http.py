"""The public REST API of baskets."""

from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from martech.modules.baskets.contract import Basket
from martech.modules.baskets.service import BasketService

from martech.kernel.messages import Request

Service = NamedDependency[BasketService]


class PutFruit(Request, frozen=True):
    fruit_id: UUID


class BasketController(Controller):
    @get("/baskets/{basket_id:uuid}", operation_id="getBasket", opt={"scope": "baskets:read"})
    async def get_basket(self, basket_id: FromPath[UUID], service: Service) -> Basket:
        return await service.get(basket_id)

    @post("/baskets/{basket_id:uuid}", operation_id="putFruit", opt={"scope": "baskets:write"})
    async def put_fruit(
        self, basket_id: FromPath[UUID], data: JSONBody[PutFruit], service: Service
    ) -> Basket:
        return await service.put(basket_id, data.fruit_id)
