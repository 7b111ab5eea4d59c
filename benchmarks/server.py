"""The platform, served as `martech serve` serves it, with the counter as a third module.

    python -m benchmarks.server         settings from the environment, databases migrated already

`--counter` adds a module that listens. `--http-only` leaves bus and jobs to a worker. `--bare`
serves the limit instead: a Litestar handler that decodes the same body and answers.
"""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import msgspec
import uvicorn
from litestar import Litestar, Request, post
from sqlalchemy import select

from benchmarks.counter import tables
from benchmarks.counter.module import module as counter
from martech import app
from martech.kernel import migrate
from martech.kernel.clock import SystemClock
from martech.kernel.db import Database
from martech.kernel.module import Module
from martech.kernel.process import Process
from martech.kernel.settings import Settings


class Event(msgspec.Struct, rename="camel"):
    type: str
    event: str
    user_id: str
    message_id: str
    timestamp: str
    properties: msgspec.Raw
    context: msgspec.Raw


@post("/v1/track", status_code=200, opt={"public": True})
async def bare(request: Request[object, object, object]) -> dict[str, bool]:  # type: ignore[type-var]
    msgspec.json.decode(await request.body(), type=Event)
    return {"success": True}


async def prepare(settings: Settings) -> None:
    """Migrate the product's modules, and the counter from a history made for the occasion."""
    await app.prepare(settings)
    with tempfile.TemporaryDirectory(prefix="martech-bench-") as folder:
        history = Path(folder)
        for file in ("env.py", "script.py.mako"):
            shutil.copy(migrate.migrations() / file, history)
        await migrate.revise(counter, "initial", history)
        await migrate.upgrade(counter, settings.database_of("counter"), history)


def with_counter(settings: Settings) -> list[Module]:
    """The modules of *settings*, and the counter, which hears what they tell."""
    modules = app.hosted(settings)
    heard = [
        subscription
        for subscription in counter.subscriptions
        if subscription.source in {module.name for module in modules}
    ]
    return [*modules, replace(counter, subscriptions=heard)]


async def lags(settings: Settings) -> dict[str, dict[int, int]]:
    """What the counter noted of all tenants (the benchmark has one)."""
    database = Database(
        settings.database_of("counter"), counter.tables, clock=SystemClock(), process=Process()
    )
    noted: dict[str, dict[int, int]] = defaultdict(dict)
    async with database.across(write=False) as connection:
        for row in await connection.execute(select(tables.lags)):
            noted[row.what][row.edge] = row.seen
    await database.close()
    return noted


def main() -> int:
    settings = app.settings_of(os.environ)
    if "--bare" in sys.argv:
        limit = Litestar([bare], openapi_config=None)
        uvicorn.run(
            limit,
            host=settings.host,
            port=settings.port,
            loop="uvloop",
            http="httptools",
            log_level="error",
            access_log=False,
        )
        return 0
    if "--migrate" in sys.argv:
        for module in app.hosted(settings):
            asyncio.run(migrate.upgrade(module, settings.database_of(module.name)))
        asyncio.run(prepare(settings))
        return 0
    if "--lags" in sys.argv:
        print(json.dumps(asyncio.run(lags(settings))))
        return 0
    modules = with_counter(settings) if "--counter" in sys.argv else app.hosted(settings)
    http_only = "--http-only" in sys.argv
    return app.serve(settings, http_only=http_only, started=lambda: None, modules=modules)


if __name__ == "__main__":
    sys.exit(main())
