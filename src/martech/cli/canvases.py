"""modules: what each is, and how it stands."""

import asyncio
from collections.abc import Mapping, Sequence

import click
import msgspec
from rich import box
from rich.markup import escape
from rich.table import Table

from martech import app
from martech.cli.terminal import err, opened, out, settings_of
from martech.kernel.errors import Error
from martech.kernel.files import installed
from martech.kernel.http.modules import ModuleCard, ModuleCards, counts, verdict
from martech.kernel.migrate import DatabaseUnfit
from martech.kernel.module import Module
from martech.kernel.published import canvas
from martech.kernel.published.shown import shown
from martech.kernel.settings import Settings
from martech.kernel.settings import shown as shown_url
from martech.kernel.standing import ModuleStanding, Standing

Rows = Sequence[Sequence[str]]


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="As /_modules gives it to programs.")
@settings_of
def modules(settings: Settings, name: str | None, as_json: bool) -> None:
    """List the modules: where each is kept, whom it hears and asks, how it stands.

    With NAME, its whole canvas: what it tells, hears, asks, answers and does, its routes, tables
    and settings.

    \b
    Examples:
      martech modules
      martech modules profiles
      martech modules --json
    """
    wanted = app.load([name] if name else installed())
    here = {module.name for module in app.hosted(settings)}
    standing = asyncio.run(_look(settings))
    cards = [_card(module, standing) for module in wanted]
    if as_json:
        hosted = ModuleCards(modules=[card for card in cards if card.canvas.name in here])
        click.echo(msgspec.json.format(msgspec.json.encode(hosted), indent=2))
        return
    for card in cards:
        kept = click.format_filename(shown_url(settings.database_of(card.canvas.name)))
        where = kept if card.canvas.name in here else "not hosted here"
        out.print(f"[bold]{card.canvas.name}[/]  {escape(where)}", soft_wrap=True)
        if card.canvas.name in standing:
            out.print(f"    {verdict(card.standing)}")
        (_print_canvas if name else _print_glance)(card)


async def _look(settings: Settings) -> Mapping[str, ModuleStanding]:
    """How the hosted modules stand. Where nobody can say, it says why; it makes no database."""
    try:
        async with opened(settings) as host:
            return {each.name: each for each in await Standing(host).look()}
    except (DatabaseUnfit, Error) as refused:
        err.print(f"martech: how they stand cannot be seen: {escape(str(refused))}", soft_wrap=True)
        return {}


def _card(module: Module, standing: Mapping[str, ModuleStanding]) -> ModuleCard:
    unknown = ModuleStanding(name=module.name, available=False)
    return ModuleCard(canvas=shown(canvas(module)), standing=standing.get(module.name, unknown))


def _print_glance(card: ModuleCard) -> None:
    seen = card.canvas
    for word, listed in (
        ("tells", [told.type for told in seen.tells]),
        ("hears", sorted({heard.type for heard in seen.hears})),
        ("asks ", seen.asks),
        ("does ", [done.command for done in seen.does]),
    ):
        if listed:
            out.print(f"    {word} {', '.join(listed)}", soft_wrap=True)


def _print_canvas(card: ModuleCard) -> None:
    seen = card.canvas
    out.print(escape(seen.purpose), soft_wrap=True)
    tells = [(each.type, each.subject, each.what) for each in seen.tells]
    _print_table("Tells", ("event", "about", "what happened"), tells)
    hears = [
        (each.type, each.subscription, *counts(card, each.subscription), each.what)
        for each in seen.hears
    ]
    head = ("event", "subscription", "behind", "waiting", "parked", "what it does about it")
    _print_table("Listens to", head, hears)
    _print_table("Asks", ("module",), [(each,) for each in seen.asks])
    answers = [(each.question, each.promise) for each in seen.answers]
    _print_table("Answers", ("question", "promise"), answers)
    does = [(each.command, each.reach, each.what) for each in seen.does]
    _print_table("Does", ("command", "", "what is done"), does)
    routes = [(each.method, each.path, each.operation, each.needs) for each in seen.routes]
    _print_table("Routes", ("", "path", "operation", "needs"), routes)
    tables = [(each.table, ", ".join(each.columns)) for each in seen.tables]
    _print_table("Owns", ("table", "columns"), tables)
    settings = [(each.variable, each.default) for each in seen.settings]
    _print_table("Reads from the environment", ("variable", "default"), settings)


def _print_table(title: str, head: Sequence[str], rows: Rows) -> None:
    if not rows:
        return
    table = Table(*head, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*map(escape, row))
    out.print(f"\n[bold]{title}[/]")
    out.print(table)
