"""What one rendering knows and has spent."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import partial
from io import StringIO
from types import NoneType
from typing import Any, TextIO
from uuid import UUID

from liquid import BoundTemplate, Markup, RenderContext, Token
from liquid.builtin.tags import for_tag, tablerow_tag
from liquid.exceptions import LocalNamespaceLimitError, UnknownFilterError
from liquid.undefined import UNDEFINED, Undefined
from liquid.utils import ReadOnlyChainMap

from martech.kernel.templates import limits
from martech.kernel.templates.html import Captured
from martech.kernel.templates.spending import Spent, Written, weight

SINGLE = frozenset(
    {
        *(NoneType, bool, int, float, str, Markup, Captured, date, datetime, UUID),
        *(range, Undefined, for_tag.ForLoop, tablerow_tag.TableRow),
    }
)
"""What a template may see; what may hold it is a list, a tuple or a dict. Anything else is as if it
were not there."""


def plain(value: object) -> bool:
    """Whether all that *value* holds may be seen: what is printed asks nobody how."""
    held = [value]
    while held:
        one = held.pop()
        if type(one) in SINGLE:
            continue
        if type(one) is dict:
            held += one.values()
        elif type(one) is list or type(one) is tuple:
            held += one
        else:
            return False
    return True


class Context(RenderContext):
    """What one rendering knows and has spent. It is made for it and forgotten with it."""

    __slots__ = ("held", "spent")

    def __init__(self, template: BoundTemplate, values: Mapping[str, object]) -> None:
        super().__init__(template, globals=values)
        self.scope = ReadOnlyChainMap(self.locals, values, self.counters)  # and no clock
        self.spent = Spent()
        self.held = 0

    def get(
        self, path: list[object], *, token: Token | None, default: object = UNDEFINED
    ) -> object:
        value = super().get(path, token=token, default=default)
        kind = type(value)
        if kind in SINGLE or default is not UNDEFINED:
            return value
        self.spent.check()
        return value if plain(value) else self.env.undefined(str(path[0]), token=token)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        function = self.env.filters.get(name)
        if function is None:
            raise UnknownFilterError(f"there is no filter {name!r}", token=token)
        return partial(function, self, token)

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        return Written(buf.room if isinstance(buf, Written) else limits.PRINTED)

    def assign(self, key: str, val: Any) -> None:
        self._hold(weight(val) - (weight(self.locals[key]) if key in self.locals else 0))
        self.locals[key] = val

    def cycle(self, key: object, length: int) -> int:
        if key not in self.tag_namespace["cycles"]:
            self._hold(len(str(key)))
        return super().cycle(key, length)

    def _hold(self, more: int) -> None:
        self.held += more
        if self.held > limits.HELD:
            raise LocalNamespaceLimitError("held", token=None)
