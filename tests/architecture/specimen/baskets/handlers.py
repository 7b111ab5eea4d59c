"""What baskets does when something happens elsewhere. A handler is one transaction."""

from martech.modules.baskets.service import BasketService
from martech.modules.fruits.contract import FruitRipened

from martech.kernel.module import on


@on(FruitRipened)
async def note_what_is_ripe(event: FruitRipened, baskets: BasketService) -> None:
    await baskets.follow_ripening(event.fruit_id)
