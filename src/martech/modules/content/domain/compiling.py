"""From what people write to what is sent: MJML compiled, CSS inlined, a text where there is none.

Done once for each version. What comes out is Liquid again, with every mark where it was.
"""

import re
from bisect import bisect
from collections.abc import Iterator
from functools import lru_cache
from html import escape, unescape

import msgspec
from css_inline import CSSInliner, InlineError
from mrml import ParserOptions, RenderOptions, noop_loader, to_html

from martech.kernel.templates import Template, TemplateError
from martech.modules.content.domain.drafts import PRINTED, Texts
from martech.modules.content.domain.markup import (
    VOID,
    Tag,
    check_attributes,
    check_mjml,
    check_rules,
    check_styles,
    check_values,
    tags,
)
from martech.modules.content.domain.protecting import Protected, protected
from martech.modules.content.domain.texts import text_of

_POSITION = re.compile(r"at position (\d+):(\d+)")
_ENDED = "unexpected end of stream"
_COMMENT = re.compile(r"(<!--.*?-->)", re.DOTALL)
_ASIDE = re.compile(r"<!--.*?-->|<[!?/][^>]*>", re.DOTALL)
_DOCTYPE = re.compile(r"\s*<!doctype[^>]*>", re.IGNORECASE)

_BRACE = re.compile(r"\{(?=[{%])")
"""It was written as ``&#123;``, and would be Liquid now."""

_parser = ParserOptions(include_loader=noop_loader())
_renderer = RenderOptions(fonts={})
"""No font is loaded from anywhere unless an mj-font asks for it."""

_inliner = CSSInliner(load_remote_stylesheets=False, keep_style_tags=True, keep_link_tags=True)
_reader = CSSInliner(
    inline_style_tags=False,
    load_remote_stylesheets=False,
    keep_style_tags=True,
    keep_link_tags=True,
)
"""Reads and writes, and looks at no style."""


class Compiled(msgspec.Struct, frozen=True):
    """What a version consists of."""

    subject: str
    html: str
    text: str


def compiled(texts: Texts) -> Compiled:
    """Raises `TemplateError` with the part, the line and the column of what cannot be sent."""
    subject = subject_of(texts)
    html = body_of(texts)
    return Compiled(subject, html, text_from(texts, html))


def text_from(texts: Texts, html: str) -> str:
    """The text that was written, or else one that is made of *html*."""
    if texts.text is not None:
        parse(texts.text, "text", html=False)
        return texts.text
    text = text_of(html)
    try:
        parse(text, "text", html=False)
    except TemplateError as error:
        sentence = f"No text can be made of the HTML: {error.what} Or write a text."
        raise TemplateError(sentence, 1, 1, field="text") from None
    return text


def subject_of(texts: Texts) -> str:
    """The one line that it must be."""
    subject = texts.subject.strip()
    if not subject:
        raise TemplateError("The subject is empty. Write one.", 1, 1, field="subject")
    parse(subject, "subject", html=False)
    if len(subject.splitlines()) > 1:
        column = len(subject.splitlines()[0]) + 1
        raise TemplateError("The subject is one line. Join them.", 1, column, field="subject")
    return subject


def body_of(texts: Texts) -> str:
    """The HTML, ready to be filled in."""
    field, source = texts.body
    if not source.strip():
        raise TemplateError("There is no body. Write mjml or html.", 1, 1, field=field)
    parse(source, field, html=True)
    page = protected(source)
    if field == "html":
        found = tags(page, field)
        check_attributes(page, found, field)
        check_styles(page, found, field)
    html = _inlined(from_mjml(page) if field == "mjml" else page, field)
    if len(html) > PRINTED:
        raise _too_long(field)
    parse(html, field, html=True)
    return html


def _too_long(field: str) -> TemplateError:
    return TemplateError(
        f"It compiles to more than {PRINTED:,} characters. Write less.", 1, 1, field=field
    )


_parsed = lru_cache(16)(Template.parse)
"""To compile, lint and preview one draft, the same few texts are read again and again."""


def parse(source: str, field: str, *, html: bool) -> Template:
    """A template of the part *field*. Raises `TemplateError` that names it."""
    try:
        return _parsed(source, html=html)
    except TemplateError as error:
        error.field = field
        raise


def from_mjml(page: Protected) -> Protected:
    """The HTML of it, with the same words."""
    found = tags(page, "mjml")
    check_mjml(page, found, "mjml")
    check_attributes(page, found, "mjml")
    check_values(page, found, "mjml")
    try:
        html = to_html(page.text, _parser, _renderer).content
    except OSError as error:
        raise _refused(page, str(error), found) from None
    if len(html) > 4 * PRINTED:
        raise _too_long("mjml")
    kept = set(page.found(html))
    for number, word in enumerate(page.words):
        if number not in kept:
            raise word.wrong(
                "MJML would lose this Liquid. Put it into <mj-raw>, or into a text.", "mjml"
            )
    made = page._replace(text=html, compiled=True)
    check_styles(made, tags(made, "mjml"), "mjml")
    return made


def _complaint(text: str) -> str | None:
    """What the compiler says against *text*, if it says anything."""
    try:
        to_html(text, _parser, _renderer)
    except OSError as error:
        return str(error)
    return None


def _refused(page: Protected, complaint: str, found: list[Tag]) -> TemplateError:
    """The compiler's complaint, with its place in the source. It counts in bytes, if it does."""
    if _ENDED in complaint:
        return _unended(page, found)
    what = complaint.split(" in root template", maxsplit=1)[0]
    position = _POSITION.search(complaint)
    if position is not None:
        at = len(page.text.encode()[: int(position[1])].decode(errors="ignore"))
    else:
        at = _stumbled(page, found)
        what = "a <, an attribute without quotes, or a text in the wrong place"
    sentence = f"This is no MJML: {what}. Mend it there."
    if page.pattern.match(page.text, at):
        sentence = "MJML has no text here. Put this Liquid into <mj-raw>, or elsewhere."
    return page.wrong(at, sentence, "mjml")


def _stumbled(page: Protected, found: list[Tag]) -> int:
    """Where the compiler can read no further: behind the last tag up to which it misses nothing
    but the end."""
    ends = [0, *(tag.end for tag in found)]
    first = bisect(
        ends, False, key=lambda end: _ENDED not in (_complaint(page.text[:end]) or _ENDED)
    )
    last_good = ends[max(0, first - 1)]
    return last_good + len(page.text[last_good:]) - len(page.text[last_good:].lstrip())


def _unended(page: Protected, found: list[Tag]) -> TemplateError:
    nested: list[Tag] = []
    for tag in found:
        if tag.closes and nested:
            if nested[-1].name != tag.name:
                break
            nested.pop()
        elif not (tag.closes or tag.closed or tag.name in VOID):
            nested.append(tag)
    name, at = (nested[-1].name, nested[-1].start) if nested else ("mjml", len(page.text))
    return page.wrong(at, f"<{name}> is never ended. Write </{name}> behind it.", "mjml")


def _inlined(page: Protected, field: str) -> str:
    """*page* with its style sheets in its elements, and its Liquid back."""
    page = _embodied(page, field)
    found = tags(page, field)
    text = _commented(page, found)
    if any(tag.name == "style" for tag in found):
        read = page._replace(text=_reader.inline(text), compiled=True)
        check_rules(read, tags(read, field), field)
    try:
        html = _inliner.inline(text)
    except InlineError:
        raise _unstyled(page, found, field) from None
    if len(html) > 4 * PRINTED:
        raise _too_long(field)
    made = page._replace(text=page.comment.sub(lambda match: match[0][4:-3], html), compiled=True)
    _check_places(page, found, made, field)
    return page.restored(_BRACE.sub("&#123;", made.text))


def _unstyled(page: Protected, found: list[Tag], field: str) -> TemplateError:
    """The style that is none. The inliner names no place, so each is tried alone."""
    sentence = "This style cannot be read. Write whole declarations, as color: {{ … }}."
    for tag in found:
        style = tag.attribute("style")
        if style is None:
            continue
        try:
            _inliner.inline(f'<style>p{{margin:0}}</style><p style="{escape(style)}">')
        except InlineError:
            for number in page.found(style):
                return page.words[number].wrong(sentence, field)
            return page.wrong(tag.start, sentence, field)
    return page.wrong(0, "A style sheet cannot be read. Mend it.", field)


def _embodied(page: Protected, field: str) -> Protected:
    """With a body, so that no reader begins one in the middle of a loop."""
    found = tags(page, field)
    if any(tag.name == "body" for tag in found):
        return page
    heads = [tag.end for tag in found if tag.name == "html" or (tag.name == "head" and tag.closes)]
    doctype = _DOCTYPE.match(page.text)
    at = max(heads, default=doctype.end() if doctype else 0)
    return page._replace(text=f"{page.text[:at]}<body>{page.text[at:]}")


def _commented(page: Protected, found: list[Tag]) -> str:
    """Words that stand as text become comments: text inside a table would be moved out of it."""
    parts, place = [], 0
    for tag in found:
        parts += [
            _wrapped(page, page.text[place : tag.start]),
            page.text[tag.start : tag.inside[1]],
        ]
        place = tag.inside[1]
    return "".join([*parts, _wrapped(page, page.text[place:])])


def _wrapped(page: Protected, text: str) -> str:
    parts = _COMMENT.split(text)
    parts[::2] = [page.pattern.sub(lambda match: f"<!--{match[0]}-->", part) for part in parts[::2]]
    return "".join(parts)


def _check_places(page: Protected, found: list[Tag], made: Protected, field: str) -> None:
    """What is said, and the Liquid in it, comes in the order in which it was written: loops and
    conditions hold what they held."""
    said = "".join(words for _, words in _said(made, tags(made, field)))
    place = 0
    for at, words in _said(page, found):
        if not said.startswith(words, place):
            raise page.wrong(
                at, "Mail programs would move this. Put it into a cell or another element.", field
            )
        place += len(words)
    kept = set(page.found(made.text))
    for number in page.found(page.text):
        if number not in kept:
            raise page.words[number].wrong("This place loses Liquid. Put it into a text.", field)


def _said(page: Protected, found: list[Tag]) -> Iterator[tuple[int, str]]:
    """What stands between the tags, without blanks, and where."""
    place = 0
    for start, end in [*((tag.start, tag.inside[1]) for tag in found), (len(page.text),) * 2]:
        between = page.text[place:start]
        ends = between.rfind(">") + 1  # or every <! would look for one to the end
        plain = _ASIDE.sub("", between[:ends]) + between[ends:]
        words = "".join(unescape(plain).split())
        if words:
            yield place + len(between) - len(between.lstrip()), words
        place = end
