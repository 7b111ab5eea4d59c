"""extract, move-data: a module becomes a repository of its own, and its data goes elsewhere."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from martech import app
from martech.cli.terminal import err, out, settings_of
from martech.kernel import extract, published
from martech.kernel.moving import move
from martech.kernel.settings import Settings


@click.command("extract")
@click.argument("module")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--remove", is_flag=True, help="Then delete here all but its contract.py and contracts/."
)
def extract_(module: str, folder: Path, remove: bool) -> None:
    """Write a repository of its own for MODULE to FOLDER, which is empty or not there.

    \b
    In it: kernel, app and command line; MODULE with its migrations, contracts and tests; of each
    neighbour only contract.py; the architecture's sentences; Makefile, locks, Dockerfile, compose
    file, CI; and a README that says who its neighbours are. `make lint test` passes there.

    \b
    Example:
      martech extract personalization ../personalization
      cd ../personalization && make lint test

    Nothing changes here without --remove: the monolith goes on with MODULE, or without it where
    MARTECH_PEERS says who has it now. What names MODULE, and so is to be mended when its code is
    gone, is printed line by line. Data moves with `martech move-data`. All of it, step by step, is
    in docs/extraction.md.
    """
    (found,) = app.load([module])
    derived = published.files([found], app.describe)
    written = extract.extract(found, folder, derived)
    out.print(f"{module}: {len(written)} files in {escape(str(folder))}", soft_wrap=True)
    out.print(f"Its neighbours: {', '.join(extract.neighbours(found)) or 'none'}")
    mendings = extract.mendings(found)
    if remove:
        extract.remove(found)
        out.print(f"Here its contract.py and contracts/{module} are left.")
        serving = f"Whoever serves from here says MARTECH_PEERS={module}=http://… from now on."
        out.print(serving, soft_wrap=True)
        _show_mendings(mendings)
        out.print("Now: make contracts, make lint test, and commit.")
        return
    out.print("\nThe next steps (docs/extraction.md has them all):")
    out.print(f"  cd {escape(str(folder))}", soft_wrap=True)
    out.print("  git init && git add . && git commit -m 'As it left' && make lint test")
    out.print("When it runs there, and nobody needs it here any more:")
    out.print(f"  git rm -r {' '.join(extract.leaves(found))}", soft_wrap=True)
    out.print("  make contracts")
    _show_mendings(mendings)


def _show_mendings(mendings: Sequence[extract.Mending]) -> None:
    """What no program can decide, in the form that editors jump to."""
    if mendings:
        out.print("To be mended by hand, because it still names what left:")
    for path, line, why in mendings:
        out.print(f"  {path}:{line}: {escape(why)}", soft_wrap=True)


@click.command("move-data")
@click.argument("module")
@click.option("--to", metavar="URL", help="sqlite:///FOLDER or postgresql://HOST/DATABASE.")
@click.option("--fold", is_flag=True, help="Back to where MARTECH_DATABASE_URL is.")
@click.option("--rehearse", is_flag=True, help="Copy and compare; it goes on living where it does.")
@settings_of
def move_data(settings: Settings, module: str, to: str | None, fold: bool, rehearse: bool) -> None:
    """Move the data of MODULE to another database: rows, cursors, outbox, commands, store.

    Stop whoever serves MODULE first, and start them again with the setting that is printed at the
    end. It is copied, read back and compared; then the old place says where the data went, and
    nobody serves it from there any more. Broken off at any moment, nothing is lost: say the same
    again.

    \b
    Examples:
      martech move-data personalization --to sqlite:////home/me/personalization
      martech move-data personalization --to postgresql://martech@db2/martech --rehearse
      MARTECH_PERSONALIZATION_DATABASE_URL=sqlite:////home/me/personalization \\
        martech move-data personalization --fold
    """
    if bool(to) == fold:
        raise click.UsageError("Say where to: --to URL, or --fold to bring it back.")
    (found,) = app.load([module])
    setting = f"MARTECH_{module.upper()}_DATABASE_URL"
    after = app.settings_of({**os.environ, setting: to or ""})
    with Progress(
        TextColumn("{task.description}"),
        *(BarColumn(), MofNCompleteColumn()),
        console=err,
        transient=True,
    ) as progress:
        bars: dict[str, TaskID] = {}

        def watch(table: str, done: int, of: int) -> None:
            if table not in bars:
                bars[table] = progress.add_task(table, total=of)
            progress.update(bars[table], completed=done)

        moved = asyncio.run(move(found, settings, after, watch, rehearse=rehearse))
    for table, digest in moved.items():
        out.print(f"{module}.{table}: {digest.rows} rows, the same on both sides")
    if rehearse:
        out.print(f"Rehearsed. {module} lives where it did.")
    elif to:
        out.print(f"{module} has moved. Serve it with {setting}={escape(to)}", soft_wrap=True)
    else:
        out.print(f"{module} is back. Serve it without {setting}", soft_wrap=True)
