from martech.kernel.module import Unit, job
from tests.sample.kitchen.adapters import Street
from tests.sample.kitchen.domain import Bake, Deliver
from tests.sample.kitchen.service import KitchenService
from tests.sample.shop.contract import Shop


@job(Bake, inward=True)
async def bake(command: Bake, kitchen: KitchenService) -> None:
    await kitchen.write(f"baked {command.number}")
    if command.number < 0:
        raise ValueError("less than nothing cannot be baked")


@job(Deliver)
async def deliver(command: Deliver, unit: Unit[KitchenService], shop: Shop, street: Street) -> None:
    left = (await shop.stock()).left
    async with unit() as kitchen:
        await kitchen.write(f"left with {command.number}, {left} in the shop")
    await street.bring(command.number)
    async with unit() as kitchen:
        await kitchen.write(f"delivered {command.number}")
