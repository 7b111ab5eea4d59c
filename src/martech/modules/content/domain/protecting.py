"""Liquid out of the way while others read the text around it.

Every mark is replaced by a word that no HTML, MJML or CSS reader looks into, and put back when they
are done. What they lost, moved or doubled shows in the words.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from martech.kernel.templates import Mark, TemplateError, located, marks


class Word(NamedTuple):
    """One mark, and what stands for it."""

    mark: Mark
    source: str
    token: str

    @property
    def liquid(self) -> str:
        return self.source[self.mark.start : self.mark.end]

    def wrong(self, what: str, field: str) -> TemplateError:
        return TemplateError(what, *located(self.source, self.mark.start), field=field)


class Protected(NamedTuple):
    """A text without its Liquid. The words are in order, and each stands in it once."""

    text: str
    source: str
    words: Sequence[Word]
    pattern: re.Pattern[str]
    """Finds a word, with its number in the group."""

    comment: re.Pattern[str]
    """Finds one that is a comment, likewise."""

    compiled: bool = False
    """Whether the text was made of the source by somebody else: places are not known then."""

    def found(self, text: str) -> list[int]:
        """The numbers of the words in *text*, in order."""
        return [int(match[1]) for match in self.pattern.finditer(text)]

    def restored(self, text: str) -> str:
        """*text* with the Liquid back in its place."""
        return self.pattern.sub(lambda match: self.words[int(match[1])].liquid, text)

    def origin(self, index: int) -> int:
        """Where in the source the character at *index* of the text stood."""
        if self.compiled:
            return 0
        tokens = _tokens(self.text, self.pattern)
        before = bisect_right(tokens, index, key=lambda token: token.start)
        if before == 0:
            return index
        token = tokens[before - 1]
        mark = self.words[token.number].mark
        return mark.start if index < token.end else mark.end + index - token.end

    def wrong(self, index: int, what: str, field: str) -> TemplateError:
        """*what* is wrong at a place of the text, said with its place in the source."""
        return TemplateError(what, *located(self.source, self.origin(index)), field=field)


class _Token(NamedTuple):
    start: int
    end: int
    number: int


@lru_cache(16)
def _tokens(text: str, pattern: re.Pattern[str]) -> Sequence[_Token]:
    """Where the words stand; kept because one text may be wrong in a thousand places."""
    return [_Token(m.start(), m.end(), int(m[1])) for m in pattern.finditer(text)]


def protected(source: str) -> Protected:
    """*source* with a word in place of each mark. Raises `TemplateError`."""
    prefix = _unused(source)
    words = [Word(mark, source, f"{prefix}{number}x") for number, mark in enumerate(marks(source))]
    parts, place = [], 0
    for word in words:
        parts += [source[place : word.mark.start], word.token]
        place = word.mark.end
    pattern, comment = rf"{prefix}(\d+)x", rf"<!--{prefix}(\d+)x-->"
    text = "".join([*parts, source[place:]])
    return Protected(text, source, words, re.compile(pattern), re.compile(comment))


def _unused(source: str) -> str:
    """Lower case, because HTML has attributes so; and nothing that stands in *source*."""
    number, lower = 0, source.lower()
    while f"lq{number}x" in lower:
        number += 1
    return f"lq{number}x"
