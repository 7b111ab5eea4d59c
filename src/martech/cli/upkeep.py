"""modules, audit, parked, replay: how things stand, and putting them right."""

import asyncio
import sys
from typing import Any

import click
from rich.markup import escape

from martech import app
from martech.cli.terminal import out, settings_of, with_host
from martech.kernel import audit, parked
from martech.kernel.bus.replay import replay
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


@click.group("parked")
def parked_() -> None:
    """Look at what failed to the end, and try it again."""


@parked_.command("list")
@settings_of
def parked_list(settings: Settings) -> None:
    """List parked items and commands, the oldest first: module, id, type, error."""
    found = asyncio.run(with_host(settings, parked.parked))
    for one in found:
        said = escape(" ".join(one.error.split())[:200])
        line = f"{one.module} [bold]{one.id}[/] {one.type}, {one.attempts} attempts: {said}"
        out.print(line, soft_wrap=True)
    if not found:
        out.print("Nothing is parked.")


@parked_.command("retry")
@click.argument("module")
@click.argument("id_", metavar="ID")
@settings_of
def parked_retry(settings: Settings, module: str, id_: str) -> None:
    """Try the parked ID of MODULE again, with all its attempts.

    \b
    Examples:
      martech parked retry profiles record_what_was_tracked/1042/7
      martech parked retry access 0190163d-8694-739b-aea5-966c26f8ad91
    """
    asyncio.run(with_host(settings, lambda host: parked.retry(host, module, id_)))
    out.print("It is due again.")


@click.command("replay")
@click.argument("subscription")
@click.option("--from", "position", type=click.IntRange(0), required=True, help="0 is everything.")
@settings_of
def replay_(settings: Settings, subscription: str, position: int) -> None:
    """Have SUBSCRIPTION hear its source again, from behind a position. Nothing happens outside.

    Its handler writes again what it wrote: empty its tables first to build them anew.

    \b
    Example:
      martech replay profiles.record_what_was_tracked --from 0
    """
    asyncio.run(with_host(settings, lambda host: replay(host, subscription, position)))
    out.print(f"{subscription} hears everything behind {position} again.")


async def _chains(host: Any) -> list[tuple[str, audit.Chain]]:
    found = []
    for name, database in host.databases.items():
        async with database.across(write=False) as connection:
            chains = await audit.check(connection, database.metadata)
        found += [(name, chain) for chain in chains]
    return found
