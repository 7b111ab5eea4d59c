"""audit: whether what was done is still what was written down."""

import asyncio
import sys
from typing import Any

import click

from martech.cli.terminal import out, settings_of, with_host
from martech.kernel import audit
from martech.kernel.settings import Settings


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
