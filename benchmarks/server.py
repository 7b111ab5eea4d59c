"""The platform, served as `martech serve` serves it, with the counter as a third module.

    python -m benchmarks.server         settings from the environment, databases migrated already

`--bare` serves the limit instead: a Litestar handler that decodes the same body and answers.
"""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec
import uvicorn
from litestar import Litestar, Request, post
from sqlalchemy import select

from benchmarks.counter import tables
from benchmarks.counter.module import module as counter
from martech import app
from martech.kernel import migrate
from martech.kernel.host import Host
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
    folder = Path(tempfile.mkdtemp(prefix="martech-bench-"))
    for file in ("env.py", "script.py.mako"):
        shutil.copy(migrate.migrations() / file, folder)
    await migrate.revise(counter, "initial", folder)
    await migrate.upgrade(counter, settings.database_of("counter"), folder)


async def lags(settings: Settings) -> dict[int, int]:
    """What the counter noted of all tenants (the benchmark has one)."""
    async with (
        Host([*app.hosted(settings), counter], settings) as host,
        host.databases["counter"].across(write=False) as connection,
    ):
        rows = await connection.execute(select(tables.lags))
        return {row.edge: row.seen for row in rows}


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
    modules = app.hosted(settings)
    if not settings.modules:
        modules.append(counter)
    return app.serve(settings, http_only=False, started=lambda: None, modules=modules)


if __name__ == "__main__":
    sys.exit(main())
