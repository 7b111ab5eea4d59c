"""republish: a broker that lost something gets it again."""

import asyncio
from collections.abc import Sequence

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from martech.cli.terminal import out, settings_of, with_host
from martech.kernel.feeds.relay import Relay, Relays
from martech.kernel.host import Host
from martech.kernel.settings import Settings, SettingsError


@click.command("republish")
@click.argument("modules", nargs=-1, metavar="[MODULE]...")
@click.option(
    "--from",
    "position",
    type=click.IntRange(0),
    default=0,
    help="Begin behind it; 0 is everything.",
)
@settings_of
def republish_(settings: Settings, modules: tuple[str, ...], position: int) -> None:
    """Copy the outbox of each MODULE to the broker anew, or of all that are hosted here.

    Run it when listeners say that the broker lacks something. (One that forgot everything needs
    nobody: whoever serves a module copies again what is missing at its end.) What the broker has is
    dropped first; listeners wait meanwhile, and hear nothing twice.

    \b
    Examples:
      martech republish profiles
      martech republish tracking --from 1200000    listeners that are behind it cannot go on
    """
    asyncio.run(with_host(settings, lambda host: _republish(host, modules, position)))


async def _republish(host: Host, names: Sequence[str], position: int) -> None:
    for relay in _relays(host, names):
        with _shown() as progress:
            task = progress.add_task(relay.source, total=None)

            def show(reached: int, last: int, task: TaskID = task) -> None:
                progress.update(task, completed=reached, total=last)

            last = await relay.republish(position, show)
        out.print(f"{relay.source}: the broker has what was told behind {position}, up to {last}.")


def _relays(host: Host, names: Sequence[str]) -> list[Relay]:
    if host.broker is None:
        raise SettingsError("There is no broker to republish to. Set MARTECH_BROKER_URL.")
    for name in names:
        if name not in host.modules:
            there = ", ".join(host.modules)
            raise SettingsError(f"{name} is not hosted here, but {there}. Run it where it is.")
    relays = Relays(host.databases, host.broker, host.process.signals).relays
    return [relays[name] for name in names or host.modules]


def _shown() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    return Progress(*columns, console=out, transient=True)
