"""What a key may do: words of the form ``<module>:<verb>``.

A route declares one (``profiles:read``), a key carries some. ``*`` stands for any module or
any verb. There is no register here; whoever issues keys refuses what nobody would ask for.
"""

from collections.abc import Iterable

Scopes = frozenset[str]


def allows(granted: Iterable[str], wanted: str) -> bool:
    """Whether one of *granted* covers *wanted*, which may have stars of its own."""
    module, _, verb = wanted.partition(":")
    return any(scope in (wanted, f"{module}:*", f"*:{verb}", "*:*") for scope in granted)


def within(wanted: Iterable[str], granted: Scopes) -> bool:
    """Whether *granted* covers each of *wanted*."""
    return all(allows(granted, scope) for scope in wanted)
