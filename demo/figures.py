"""A report is a flat table of names and exact values; two of them are compared line by line."""

from collections.abc import Mapping

Figures = Mapping[str, int | str]
"""Money is text with two decimals, never a float."""

BARS = "▁▂▃▄▅▆▇█"


def money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def differences(one: Figures, other: Figures) -> list[str]:
    """The names that one side lacks or says otherwise."""
    names = [*one, *(name for name in other if name not in one)]
    return [name for name in names if one.get(name) != other.get(name)]


def sparkline(values: list[int]) -> str:
    """One bar a value, from nothing (a low bar) to the greatest (a full one)."""
    top = max(values, default=0)
    if top <= 0:
        return BARS[0] * len(values)
    return "".join(BARS[max(0, value) * (len(BARS) - 1) // top] for value in values)
