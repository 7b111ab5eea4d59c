"""The public REST API of fruits."""

from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from martech.modules.fruits.contract import Fruit
from martech.modules.fruits.service import FruitService

Service = NamedDependency[FruitService]


class FruitController(Controller):
    @get("/fruits/{fruit_id:uuid}", operation_id="getFruit", opt={"scope": "fruits:read"})
    async def get_fruit(self, fruit_id: FromPath[UUID], service: Service) -> Fruit:
        return await service.get(fruit_id)
