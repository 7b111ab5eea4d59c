"""What in a template is text, and what is HTML already.

Where values are escaped, what the author wrote and what was captured is HTML, and everything else
is text. A filter that looks into ``O&#39;Neill`` would find an entity. So HTML in which nothing but
text stands is read as that text before; it is escaped again, once, where it is printed.
"""

import re
from functools import cached_property, lru_cache
from html import unescape
from html.entities import html5

from liquid import Markup

_TAGGED = re.compile("[<>]")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


class Captured(Markup):
    """What ``capture`` keeps: printed as it is, and compared by what it says."""

    def __liquid__(self) -> str:
        return self._said

    def __contains__(self, part: object) -> bool:
        return isinstance(part, str) and str(part) in self._said

    @cached_property
    def _said(self) -> str:
        """Found out once, however often it is asked for."""
        return said(self)


def as_it_is(value: Markup) -> str:
    return value


def unless_tagged(value: Markup) -> str:
    """As text, unless there is a tag in it."""
    return value if _TAGGED.search(value) else said(value)


def said(value: Markup) -> str:
    """As text; tags too are read as what is written there."""
    return _ENTITY.sub(lambda found: _meant(found[0]), str(value))


@lru_cache(1000)
def _meant(entity: str) -> str:
    """Names without a ``;`` are none here: ``?a=1&region=2`` is no ®."""
    return unescape(entity) if entity[1] == "#" or entity[1:] in html5 else entity
