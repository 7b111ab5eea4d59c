"""migrate, migration: what databases look like."""

import asyncio
from collections.abc import Sequence

import click
from rich.progress import track

from martech import app
from martech.cli.terminal import err, out, settings_of
from martech.kernel import migrate
from martech.kernel.settings import Settings


@click.command("migrate")
@click.argument("modules", nargs=-1)
@click.option("--check", is_flag=True, help="Change nothing; fail if something is to be done.")
@settings_of
def migrate_(settings: Settings, modules: Sequence[str], check: bool) -> None:
    """Bring the schemas of MODULES (default: all) to what this version needs.

    \b
    Examples:
      martech migrate
      martech migrate --check profiles
    """
    chosen = app.load(modules) if modules else app.hosted(settings)
    change = migrate.check if check else migrate.upgrade
    for module in track(chosen, "Checking" if check else "Migrating", console=err, transient=True):
        asyncio.run(change(module, settings.database_of(module.name)))
        out.print(f"{module.name}: at {migrate.head(module)}")


@click.command()
@click.argument("module")
@click.argument("message")
def migration(module: str, message: str) -> None:
    """Write the migration from MODULE's newest one to its tables. Read it before you commit it.

    \b
    Example:
      martech migration profiles "add a column"
    """
    (found,) = app.load([module])
    file = asyncio.run(migrate.revise(found, message))
    out.print(str(file) if file else f"{module}: the tables are as the migrations leave them")
