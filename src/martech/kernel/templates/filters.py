"""The filters of the language, each bounded in what it is given and in what it makes.

Some of the engine's own are written anew: they would grow without a limit before anybody could
look, compare each with each, follow a regular expression to the end of the text again and again, or
read the machine's clock and time zone.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from inspect import Parameter, signature
from typing import Any

from liquid import Markup, Token, escape
from liquid.builtin.filters import array, extra, math, misc, string
from liquid.exceptions import FilterArgumentError, LiquidError
from liquid.filter import string_filter, with_context
from liquid.stringify import to_liquid_string

from martech.kernel.templates import limits
from martech.kernel.templates.context import Context
from martech.kernel.templates.errors import Refused
from martech.kernel.templates.html import as_it_is, said, unless_tagged
from martech.kernel.templates.spending import weight

Filter = Callable[..., Any]
Reading = Callable[[Markup], str]

UNUSABLE = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)
"""What a filter raises over a value that it cannot be used on."""

_WIDTH = re.compile(r"%[-_0^#]*\d")
_TAGS = re.compile(r"<[^<>]*>")
_BLOCKS = [("<!--", "-->"), ("<script", "</script>"), ("<style", "</style>")]


def bounded(function: Filter, read: Reading = unless_tagged) -> Filter:
    """*function* as `Context` calls it: with itself and the place first; never out of bounds.
    *read* says how it sees what may be HTML."""
    wants_environment = getattr(function, "with_environment", False)
    wants_context = getattr(function, "with_context", False)
    least, most = _arguments(function)

    def call(
        context: Context, token: Token | None, left: object, *args: object, **named: object
    ) -> object:
        try:
            context.spent.check()
            if named.keys() - {"allow_false"}:
                raise Refused(f"A filter knows no {min(named)!r}. Leave it out.", token=token)
            if not least <= len(args) <= most:
                wanted = f"{least} to {most}" if least < most else least
                sentence = f"Its arguments must be {wanted}, and are {len(args)}. Give it so many."
                raise Refused(sentence, token=token)
            for value in (left, *args):
                weight(value)
            if wants_environment:
                named["environment"] = context.env
            if wants_context:
                named["context"] = context
            made = function(*_read(left, args, read), **named)
            weight(made)
        except LiquidError as error:
            error.token = error.token or token
            raise
        except UNUSABLE as error:
            raise FilterArgumentError("it cannot be used on this value", token=token) from error
        return made

    return call


def _read(left: object, args: Sequence[object], read: Reading) -> Iterator[object]:
    """What goes into HTML may be HTML; what goes into text is text, unless there is a tag in it."""
    first = read(left) if isinstance(left, Markup) else left
    yield first
    for value in args:
        if isinstance(value, Markup) and not isinstance(first, Markup):
            yield read(value)
        else:
            yield value


def _arguments(function: Filter) -> tuple[int, int]:
    """How many it takes after the value, at least and at most."""
    _, *after = [
        parameter
        for parameter in signature(function).parameters.values()
        if parameter.kind is Parameter.POSITIONAL_OR_KEYWORD
    ]
    needed = sum(parameter.default is Parameter.empty for parameter in after)
    return needed, len(after)


@string_filter
def _replace(value: str, old: object, new: object = "") -> str:
    """Every *old* becomes *new*; how long that gets is known before."""
    seek, put = str(old), _same(value, new)
    _room(len(value) + value.count(seek) * len(put))
    return put.join(value.split(seek)) if seek else value.replace(seek, put)


@string_filter
def _replace_first(value: str, old: object, new: object = "") -> str:
    before, found, after = value.partition(str(old)) if str(old) else ("", "-", value)
    return before + _same(value, new) + after if found else value


@string_filter
def _replace_last(value: str, old: object, new: object) -> str:
    before, found, after = value.rpartition(str(old)) if str(old) else (value, "-", "")
    return before + _same(value, new) + after if found else value


def _map(items: object, key: object) -> list[object]:
    """The member *key* of each, or nothing."""
    return [None if each is array._NULL else each for each in array.map_(items, key)]


def _join(items: object, separator: object = " ") -> str:
    held = list(items) if isinstance(items, list | tuple | range) else [items]
    parts = [to_liquid_string(each, autoescape=False) for each in held]
    glue = str(separator)
    _room(weight(items) + len(glue) * len(parts))
    if any(isinstance(part, Markup) for part in (separator, *parts)):
        marked = separator if isinstance(separator, Markup) else escape(glue)
        return Markup(marked).join(parts)
    return glue.join(parts)


@string_filter
def _split(value: str, separator: object) -> list[str]:
    wanted = "" if separator is None else str(separator)
    parts = len(value) if not wanted else value.count(wanted) + 1
    if parts > limits.ITEMS:
        raise Refused(f"That makes a list of more than {limits.ITEMS:,} entries.", token=None)
    return list(string.split(value, wanted))


def _uniq(items: object, key: object = None) -> list[object]:
    """Each once, as seen by what it prints, or by what its member *key* prints."""
    seen: dict[str, object] = {}
    for item in items if isinstance(items, list | tuple | range) else [items]:
        by = item if key is None else item.get(key) if isinstance(item, dict) else None
        seen.setdefault(f"{type(by).__name__} {by}", item)
    return list(seen.values())


@string_filter
def _strip_html(value: str) -> str:
    """Without tags, comments, scripts and styles. It is text then, and escaped when printed."""
    bare = value
    for begin, end in _BLOCKS:
        bare = _cut(bare, begin, end)
    bare = _TAGS.sub("", bare)
    return said(Markup(bare)) if isinstance(value, Markup) else bare


def _cut(value: str, begin: str, end: str) -> str:
    lower = value.lower()
    if len(lower) != len(value):  # some letters grow; none of them stands in a tag's name
        lower = value
    kept, place = [], 0
    while (start := lower.find(begin, place)) >= 0:
        stop = lower.find(end, start)
        if stop < 0:
            break
        kept.append(value[place:start])
        place = stop + len(end)
    return "".join([*kept, value[place:]])


@with_context
def _date(value: object, wanted: object = None, *, context: Context) -> object:
    """*value* in the format *wanted*. "now" and "today" are what the values say is now; without
    that, they stay words."""
    if value in ("now", "today"):
        value = context.resolve("now", default=value)
    moment = _moment(value)
    if moment is None or not isinstance(wanted, str):
        return "" if moment is None and not isinstance(value, str | int | float) else value
    if len(wanted) > 100 or _WIDTH.search(wanted):
        raise Refused("A date's format has no widths and at most 100 characters.", token=None)
    made = moment.strftime(wanted)
    return Markup(made) if isinstance(wanted, Markup) else made


def _moment(value: object) -> datetime | None:
    """A time in ISO 8601 or in seconds since 1970; in its own zone, or else in UTC."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    match value:
        case datetime():
            return value
        case date():
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        case int() | float() if not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        case str():
            with suppress(ValueError):
                return datetime.fromisoformat(str(value))
    return None


def _same(value: str, other: object) -> str:
    """*other* as what *value* is: escaped, if that is HTML. HTML stays what it is."""
    if isinstance(value, Markup):
        return escape(other)
    return other if isinstance(other, str) else str(other)


def _room(characters: int) -> None:
    if characters > limits.TEXT:
        raise Refused(f"That grows beyond {limits.TEXT:,} characters. Make less.", token=None)


_MATH = ["ceil", "divided_by", "floor", "minus", "plus", "times", "modulo", "at_most", "at_least"]
_STRING = [
    *("append", "capitalize", "downcase", "escape", "escape_once", "lstrip", "newline_to_br"),
    *("prepend", "remove", "remove_first", "remove_last", "rstrip", "strip", "strip_newlines"),
    *("truncate", "upcase"),
]
_TEXT = [
    *("base64_decode", "base64_encode", "base64_url_safe_decode", "base64_url_safe_encode"),
    *("squish", "truncatewords", "url_decode", "url_encode"),
]
"""They make text of whatever they are given."""

_ARRAY = ["compact", "concat", "find", "find_index", "first", "has", "last", "reject", "reverse"]
_ARRAY += ["sort", "sort_natural", "where"]

FILTERS: dict[str, Filter] = {
    **{name: bounded(getattr(math, name)) for name in _MATH},
    **{name: bounded(getattr(string, name)) for name in _STRING},
    **{name: bounded(getattr(string, name), said) for name in _TEXT},
    **{name: bounded(getattr(array, name)) for name in _ARRAY},
    "abs": bounded(math.abs_),
    "round": bounded(math.round_),
    "slice": bounded(string.slice_),
    "map": bounded(_map),
    "sum": bounded(array.sum_),
    "default": bounded(misc.default, as_it_is),
    "size": bounded(misc.size, said),
    "escapejs": bounded(extra.escapejs, said),
    "replace": bounded(_replace),
    "replace_first": bounded(_replace_first),
    "replace_last": bounded(_replace_last),
    "join": bounded(_join),
    "split": bounded(_split),
    "date": bounded(_date),
    "uniq": bounded(_uniq),
    "strip_html": bounded(_strip_html, as_it_is),
}
