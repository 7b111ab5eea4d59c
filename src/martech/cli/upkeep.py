"""modules, audit: how things stand."""

import asyncio
import sys
from typing import Any

import click
from rich.markup import escape

from martech import app
from martech.cli.terminal import out, settings_of, with_host
from martech.kernel import audit
from martech.kernel.files import installed
from martech.kernel.settings import Settings


@click.command()
@settings_of
def modules(settings: Settings) -> None:
    """List the modules: where each is kept, what it hears and does."""
    here = {module.name for module in app.hosted(settings)}
    for module in app.load(installed()):
        kept = click.format_filename(settings.database_of(module.name).rpartition("@")[2])
        where = kept if module.name in here else "not hosted here"
        out.print(f"[bold]{module.name}[/]  {escape(where)}", soft_wrap=True)
        for heard in sorted({t for s in module.subscriptions for t in s.types}):
            out.print(f"    hears {heard}")
        for job in module.jobs:
            out.print(f"    does  {job.command.__name__}")


@click.command("audit")
@settings_of
def audit_(settings: Settings) -> None:
    """Verify who did what: every chain of every module, from its beginning.

    Keep what is printed somewhere else. A chain that later is shorter, or has another hash at
    that number, was cut or written anew.
    """
    chains = asyncio.run(with_host(settings, _chains))
    for name, (tenant, (number, last), broken_at) in chains:
        state = "holds" if broken_at is None else f"[bold red]broken at {broken_at}[/], holds"
        out.print(f"{name} {tenant} {state} up to {number}: {last.hex()}", soft_wrap=True)
    sys.exit(1 if any(chain.broken_at for _, chain in chains) else 0)


async def _chains(host: Any) -> list[tuple[str, audit.Chain]]:
    found = []
    for name, database in host.databases.items():
        async with database.across(write=False) as connection:
            chains = await audit.check(connection, database.metadata)
        found += [(name, chain) for chain in chains]
    return found
