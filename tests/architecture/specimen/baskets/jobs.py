"""What baskets does out in the world."""

from martech.modules.baskets.adapters import COURIERS
from martech.modules.baskets.domain import SendBasket
from martech.modules.baskets.service import BasketService

from martech.kernel.module import Unit, job


@job(SendBasket)
async def send_basket(command: SendBasket, unit: Unit[BasketService]) -> None:
    await COURIERS["console"].fetch(str(command.basket_id))
    async with unit() as baskets:
        await baskets.finish(command.basket_id)
