"""How a basket leaves the house. Only jobs come here, so never inside a transaction."""

from typing import Protocol

import aiohttp


class Courier(Protocol):
    async def fetch(self, basket: str) -> None: ...


class ConsoleCourier(Courier):
    """For development, and wherever no other is configured."""

    async def fetch(self, basket: str) -> None: ...


class BicycleCourier(Courier):
    async def fetch(self, basket: str) -> None:
        async with aiohttp.ClientSession() as session:
            await session.post("https://bicycle.example", json={"basket": basket})


COURIERS: dict[str, Courier] = {"console": ConsoleCourier(), "bicycle": BicycleCourier()}
