"""What a key may do: words of the form ``<module>:<verb>``.

A route declares one (``profiles:read``), a key carries some. ``*`` stands for any module or
any verb. There is no register: a module that nobody knows yet has its scopes already.
"""

import re
from collections.abc import Iterable
from typing import Final

Scopes = frozenset[str]

_FORM: Final = re.compile(r"([a-z][a-z0-9_]*|\*):([a-z][a-z0-9_]*|\*)", re.ASCII)


def is_scope(text: str) -> bool:
    return _FORM.fullmatch(text) is not None


def allows(granted: Iterable[str], wanted: str) -> bool:
    """Whether one of *granted* covers *wanted*, which may have stars of its own."""
    module, _, verb = wanted.partition(":")
    return any(scope in (wanted, f"{module}:*", f"*:{verb}", "*:*") for scope in granted)


def within(wanted: Iterable[str], granted: Scopes) -> bool:
    """Whether *granted* covers each of *wanted*."""
    return all(allows(granted, scope) for scope in wanted)
