"""Figures on a terminal."""

from rich.console import Console
from rich.table import Table

from demo.figures import Figures, differences, sparkline


def report(console: Console, figures: Figures) -> None:
    for table in (_totals(figures), _months(figures), _customers(figures)):
        console.print()
        console.print(table)
    console.print(
        "\n[bold]tracked[/] {received:,} = {accepted:,} accepted + {duplicate:,} duplicate"
        " + {rejected:,} rejected".format_map(figures)
    )


def mismatch(console: Console, api: Figures, parquet: Figures) -> None:
    """Both sides of every figure; the ones that differ stand out."""
    wrong = set(differences(api, parquet))
    table = Table("figure", "the REST API says", "the parquet says", title="The two do not agree")
    for name in [*api, *(name for name in parquet if name not in api)]:
        values = (_text(api.get(name, "nothing")), _text(parquet.get(name, "nothing")))
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
    cents = [int(str(figures[f"revenue {month}"]).replace(".", "")) for month in months]
    line = sparkline(cents)
    table = Table("month", "orders", "revenue", "", box=None, pad_edge=False)
    for month, bar in zip(months, line, strict=True):
        orders, revenue = figures[f"orders {month}"], figures[f"revenue {month}"]
        table.add_row(month, _text(orders), _text(revenue), f"[cyan]{bar}[/]")
    table.columns[1].justify = table.columns[2].justify = "right"
    table.caption, table.caption_justify = f"revenue by month [cyan]{line}[/]", "left"
    return table


def _is_month(name: str) -> bool:
    return name.startswith("orders ") and not name.startswith("orders of ")


def _customers(figures: Figures) -> Table:
    table = Table("best customers", "orders", "revenue", box=None, pad_edge=False)
    for name in figures:
        if name.startswith("orders of "):
            who = name.removeprefix("orders of ")
            table.add_row(who, _text(figures[name]), _text(figures[f"revenue of {who}"]))
    table.columns[1].justify = table.columns[2].justify = "right"
    return table


def _text(value: int | str) -> str:
    """Thousands apart: 4,596,039.58."""
    whole, point, cents = str(value).partition(".")
    return f"{int(whole):,}{point}{cents}" if whole.isdecimal() else str(value)
