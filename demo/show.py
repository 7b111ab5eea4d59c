"""Figures on a terminal."""

from rich.console import Console
from rich.table import Table

from demo.figures import Figures, differences, money, sparkline

FUNNEL = (
    "audience",
    "sent",
    "delivered",
    "bounced",
    "opened",
    "clicked",
    "unsubscribed",
    "converted",
)
DEPARTMENTS = 8
"""Shown by name."""
WIDTH = 24
LIVE, NOW = "live", "December, now"


def report(console: Console, figures: Figures) -> None:
    first = [_totals(figures), _months(figures), _customers(figures)]
    days = [_days(figures)] if any(_on_each_day(figures)) else []  # a part of the data ends early
    for table in (*first, *days, _funnel(figures), _departments(figures)):
        console.print()
        console.print(table)
    console.print(
        "\n[bold]tracked[/] {received:,} = {accepted:,} accepted + {duplicate:,} duplicate"
        " + {rejected:,} rejected".format_map(figures)
    )


def mismatch(console: Console, api: Figures, world: Figures) -> None:
    """Both sides of every figure; the ones that differ stand out."""
    wrong = set(differences(api, world))
    table = Table("figure", "the REST API says", "the world says", title="The two do not agree")
    for name in [*api, *(name for name in world if name not in api)]:
        values = (_text(api.get(name, "nothing")), _text(world.get(name, "nothing")))
        table.add_row(name, *values, style="bold red" if name in wrong else None)
    console.print(table)


def _totals(figures: Figures) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    for name in ("people", "identities", "orders", "revenue", "redemptions", "activities"):
        table.add_row(name, f"[bold]{_text(figures[name])}[/]")
    table.columns[1].justify = "right"
    table.add_row("with demographics", _text(figures["people with demographics"]))
    return table


def _months(figures: Figures) -> Table:
    """History lies in its moved months; December is now and stands for itself."""
    months = [name.removeprefix("orders ") for name in figures if _is_month(name)]
    cents = [_cents(figures[f"revenue {month}"]) for month in months]
    line = sparkline(cents)
    table = Table("month", "orders", "revenue", "", box=None, pad_edge=False)
    for month, bar in zip(months, line, strict=True):
        orders, revenue = figures[f"orders {month}"], figures[f"revenue {month}"]
        name = NOW if month == LIVE else month
        table.add_row(name, _text(orders), _text(revenue), f"[cyan]{bar}[/]")
    table.columns[1].justify = table.columns[2].justify = "right"
    return table


def _is_month(name: str) -> bool:
    kind, _, month = name.partition(" ")
    return kind == "orders" and (month == LIVE or month[:4].isdecimal())


def _customers(figures: Figures) -> Table:
    table = Table("best customers", "orders", "revenue", box=None, pad_edge=False)
    for name in figures:
        if name.startswith("orders of "):
            who = name.removeprefix("orders of ")
            table.add_row(who, _text(figures[name]), _text(figures[f"revenue of {who}"]))
    table.columns[1].justify = table.columns[2].justify = "right"
    return table


def _days(figures: Figures) -> Table:
    """The last two weeks before December, and December itself, which all happens now."""
    days = [name.removeprefix("revenue on ") for name in figures if name.startswith("revenue on ")]
    line = sparkline(_on_each_day(figures))
    table = Table("day", "orders", "revenue", "", box=None, pad_edge=False)
    for day, one in zip(days, line, strict=True):
        orders, revenue = figures[f"orders on {day}"], figures[f"revenue on {day}"]
        table.add_row(day, _text(orders), _text(revenue), f"[cyan]{one}[/]")
    table.add_row(NOW, _text(figures["orders live"]), _text(figures["revenue live"]))
    table.columns[1].justify = table.columns[2].justify = "right"
    return table


def _on_each_day(figures: Figures) -> list[int]:
    """Revenue in cents."""
    return [_cents(figures[name]) for name in figures if name.startswith("revenue on ")]


def _funnel(figures: Figures) -> Table:
    """From the segment to what they bought, each a share of the audience."""
    before, after = (figures[f"segment {when} December"] for when in ("before", "after"))
    title = f"the mailing to {_text(before)} good customers ({_text(after)} after December)"
    table = Table(box=None, pad_edge=False, show_header=False, title=title, title_justify="left")
    whole = max(1, int(figures["audience"]))
    for name in FUNNEL:
        count = int(figures[name])
        table.add_row(
            name, _text(count), f"[green]{_bar(count, whole)}[/]", _on_days(figures, name)
        )
    table.add_row(
        "revenue", _text(figures["revenue converted"]), "", _on_days(figures, "orders converted")
    )
    table.columns[1].justify = "right"
    return table


def _on_days(figures: Figures, name: str) -> str:
    """On which days, when midnight passed meanwhile; and how many orders that revenue is."""
    days = [each.removeprefix(f"{name} on ") for each in figures if each.startswith(f"{name} on ")]
    each = " · ".join(f"{day}: {_text(figures[f'{name} on {day}'])}" for day in days)
    orders = f"in {_text(figures[name])} orders" if name == "orders converted" else ""
    return " · ".join(filter(None, [orders, each if len(days) > 1 else ""]))


def _departments(figures: Figures) -> Table:
    """What the recipients bought in December, of all that was bought."""
    start = "revenue converted in "
    names = [name.removeprefix(start) for name in figures if name.startswith(start)]
    names.sort(key=lambda name: -_cents(figures[start + name]))
    most = max((_cents(figures[start + name]) for name in names[:1]), default=0)
    columns = ("bought in December", "by who got the mail", "by all", "")
    table = Table(*columns, box=None, pad_edge=False)
    for name in names[:DEPARTMENTS]:
        mine, all_ = figures[start + name], figures[f"revenue live of {name}"]
        table.add_row(name, _text(mine), _text(all_), f"[magenta]{_bar(_cents(mine), most)}[/]")
    if rest := names[DEPARTMENTS:]:
        mine, all_ = (
            sum(_cents(figures[label + name]) for name in rest)
            for label in (start, "revenue live of ")
        )
        table.add_row(f"{len(rest)} more", _text(money(mine)), _text(money(all_)), "")
    table.columns[1].justify = table.columns[2].justify = "right"
    return table


def _bar(count: int, whole: int) -> str:
    """Eighths of a character, so that one of a hundred is seen."""
    eighths = round(8 * WIDTH * max(0, count) / max(1, whole))
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _cents(value: int | str) -> int:
    return int(str(value).replace(".", ""))


def _text(value: int | str) -> str:
    """Thousands apart: 4,596,039.58."""
    whole, point, cents = str(value).partition(".")
    return f"{int(whole):,}{point}{cents}" if whole.isdecimal() else str(value)
