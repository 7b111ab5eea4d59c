"""The first look at a template, in linear time: every mark is closed, every block ends.

The engine's own reading is made of regular expressions that look ahead to the end of the text. On
what passes here none of them has far to look, and what does not pass is told where it begins and
not where the text ended.
"""

import re
from typing import NamedTuple

from martech.kernel.templates import limits
from martech.kernel.templates.errors import TemplateError, located

_OPEN = re.compile(r"\{[{%]")
_NAME = re.compile(r"\{%-?\s*(\w+)")
_VERBATIM = {name: re.compile(rf"\{{%-?\s*end{name}\s*-?%\}}") for name in ("raw", "doc")}
_WITHIN = re.compile(r"\[|\b(?:and|or)\b")
_GAP = re.compile(r"\s{100}")
_BLOCKS = {"if", "unless", "case", "for", "tablerow", "capture", "ifchanged"}
_ENDS = {f"end{name}": name for name in (*_BLOCKS, "comment")}

Blocks = list[tuple[str, int]]


class Mark(NamedTuple):
    """What stands in a template and is not text: ``{{ }}``, ``{% %}``, or a comment or verbatim
    block as a whole."""

    start: int
    end: int
    name: str
    """Of a tag; empty for what is printed."""


def marks(source: str) -> list[Mark]:
    """All of them, in order. Raises `TemplateError` for what need not be read any further."""
    if len(source) > limits.SOURCE:
        raise TemplateError(f"It has more than {limits.SOURCE:,} characters. Write less.", 1, 1)
    open_blocks: Blocks = []
    found: list[Mark] = []
    place = marked = 0
    while opening := _OPEN.search(source, place):
        at = opening.start()
        if len(found) == limits.MARKS:
            raise _at(source, at, f"It has more than {limits.MARKS:,} tags. Use fewer.")
        place = _close(source, at)
        marked += place - at
        if marked > limits.MARKED:
            raise _at(
                source,
                at,
                f"Its tags have more than {limits.MARKED:,} characters. Do less in them.",
            )
        name = _name(source, at, place)
        if name in _VERBATIM:
            place = _skip(source, at, place, name)
        elif name == "comment" or _in_comment(open_blocks):
            at = _comment(source, at, name, open_blocks)
            if _in_comment(open_blocks):
                continue
        else:
            _block(source, at, name, open_blocks)
        found.append(Mark(at, place, name))
    if open_blocks:
        name, at = open_blocks[-1]
        raise _at(source, at, f"{{% {name} %}} is never ended. Write {{% end{name} %}} behind it.")
    return found


def _close(source: str, at: int) -> int:
    """Where the mark that begins at *at* ends."""
    closing = "}}" if source[at + 1] == "{" else "%}"
    end = source.find(closing, at + 2)
    if end < 0:
        raise _at(source, at, f"{source[at : at + 2]} is never closed. Write {closing} behind it.")
    if end - at > limits.MARK:
        raise _at(
            source,
            at,
            f"There are more than {limits.MARK:,} characters to its {closing}. Close it earlier.",
        )
    if sum(1 for _ in _WITHIN.finditer(source, at, end)) > limits.WITHIN:
        raise _at(source, at, f"It has more than {limits.WITHIN} parts. Divide it.")
    if _GAP.search(source, at, end):
        raise _at(source, at, "It has a hundred blanks in a row. Take them out.")
    return end + 2


def _name(source: str, at: int, end: int) -> str:
    named = _NAME.match(source, at, end)
    return named[1] if named else ""


def _skip(source: str, at: int, place: int, name: str) -> int:
    """The end of what is shown as it stands."""
    ending = _VERBATIM[name].search(source, place)
    if ending is None:
        raise _at(source, at, f"{{% {name} %}} is never ended. Write {{% end{name} %}} behind it.")
    return ending.end()


def _in_comment(open_blocks: Blocks) -> bool:
    return bool(open_blocks) and open_blocks[-1][0] == "comment"


def _comment(source: str, at: int, name: str, open_blocks: Blocks) -> int:
    """Comments may stand in comments. Answers where the one that was last open began."""
    if name == "comment":
        if len(open_blocks) > limits.MARKS:
            raise _at(source, at, f"It has more than {limits.MARKS:,} tags. Use fewer.")
        open_blocks.append((name, at))
    elif name == "endcomment":
        return open_blocks.pop()[1]
    return at


def _block(source: str, at: int, name: str, open_blocks: Blocks) -> None:
    if name in _BLOCKS:
        open_blocks.append((name, at))
    elif name in _ENDS:
        if not open_blocks:
            raise _at(source, at, f"{{% {name} %}} ends nothing. Leave it out.")
        last, _ = open_blocks[-1]
        if last != _ENDS[name]:
            raise _at(source, at, f"{{% {last} %}} is still open here. End it first.")
        open_blocks.pop()


def _at(source: str, at: int, what: str) -> TemplateError:
    return TemplateError(what, *located(source, at))
