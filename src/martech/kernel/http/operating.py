"""What operators ask of a module: what is parked, below ``/<module>/v1/parked``.

A tenant's key with ``<module>:operate`` sees and handles what is parked of its own tenant. What is
parked in a module holds what other modules have told, so no other scope of the module covers it.
"""

from collections.abc import Callable
from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from martech.kernel.db import Transaction
from martech.kernel.files import camel
from martech.kernel.host import Host
from martech.kernel.messages import Request
from martech.kernel.module import Module
from martech.kernel.parked import (
    LONGEST_REASON,
    ParkedPage,
    ParkedThing,
    ParkedThings,
    Tried,
    Wanted,
)

Things = NamedDependency[ParkedThings]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows on a page.")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class RetryParked(Request, frozen=True, kw_only=True):
    """At least one of the two."""

    subscription: Name | None = None
    type: Name | None = None


class DropParked(Request, frozen=True, kw_only=True):
    reason: Annotated[str, Meta(min_length=1, max_length=LONGEST_REASON)]


def parks(module: Module) -> bool:
    """Whether anything can be parked there."""
    return bool(module.subscriptions or module.jobs)


def things_of(host: Host, module: str) -> Callable[[Transaction], ParkedThings]:
    """What the routes of `parked_of` work on, in the transaction of a request."""
    return lambda tx: ParkedThings.of(host.databases[module], tx)


def parked_of(module: Module) -> list[HTTPRouteHandler]:
    """The routes of *module*, below ``/<module>/v1``."""
    needs = {"scope": f"{module.name}:operate"}
    whose = f"Parked{camel(module.name)}"

    @get("/parked", operation_id=f"list{whose}", opt=needs)
    async def page(
        things: Things,
        subscription: FromQuery[str | None] = None,
        type: FromQuery[str | None] = None,
        after: FromQuery[str | None] = None,
        limit: Limit = 100,
    ) -> ParkedPage:
        """Items that a subscription could not handle, and commands that failed to the end."""
        return await things.page(Wanted(subscription, type), after=after, limit=limit)

    @get("/parked/{parked_id:str}", operation_id=f"show{whose}", opt=needs)
    async def show(parked_id: FromPath[str], things: Things) -> ParkedThing:
        """With what was told or is to be done, and who has tried it again."""
        return await things.show(parked_id)

    @post("/parked/retry", operation_id=f"retryAll{whose}", opt=needs, status_code=200)
    async def retry_all(data: JSONBody[RetryParked], things: Things) -> Tried:
        """Try all of a subscription, or of a type, again, with all attempts."""
        return Tried(retried=await things.retry_all(Wanted(data.subscription, data.type)))

    @post("/parked/{parked_id:str}/retry", operation_id=f"retry{whose}", opt=needs, status_code=204)
    async def retry(parked_id: FromPath[str], things: Things) -> None:
        """Try it again, with all attempts."""
        await things.retry(parked_id)

    @post("/parked/{parked_id:str}/drop", operation_id=f"drop{whose}", opt=needs, status_code=204)
    async def drop(parked_id: FromPath[str], data: JSONBody[DropParked], things: Things) -> None:
        """Give it up for good. The reason is audited."""
        await things.drop(parked_id, data.reason)

    return [page, show, retry_all, retry, drop]
