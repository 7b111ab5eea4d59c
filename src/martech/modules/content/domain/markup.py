"""The first look at markup, in linear time: where its tags are, and that there are not too many.

The readers that follow are fast and recursive: depth that nobody counts ends the process, and a
rule that meets every element makes gigabytes of a few kilobytes. So both are bounded here, by
counts that hold however a reader understands what is broken.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from martech.kernel.templates import TemplateError, marks
from martech.modules.content.domain.protecting import Protected

TAGS = 2_500
COMPILED_TAGS = 20_000
MJML_TAGS = 1_000
MJML_DEPTH = 30
STYLED = 100_000_000
"""Characters of style sheets, times tags."""

STEPS = 100_000_000
"""Selectors, times the elements that each may have to look at: those above every element, and
before it."""

COMPARED = 200_000_000
"""Declarations, times the properties that each may be compared with, times elements."""

VOID = (
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param"),
    *("source", "track", "wbr"),
)
VERBATIM = {
    name: re.compile(f"</{name}", re.IGNORECASE | re.ASCII)
    for name in ("style", "script", "title", "textarea", "xmp")
}
"""What holds text and no markup, and what ends it."""

MJML = (
    *("mjml", "mj-head", "mj-body"),
    *("mj-all", "mj-attributes", "mj-breakpoint", "mj-class", "mj-font", "mj-html-attribute"),
    *("mj-html-attributes", "mj-preview", "mj-selector", "mj-style", "mj-title"),
    *("mj-accordion", "mj-accordion-element", "mj-accordion-text", "mj-accordion-title"),
    *("mj-button", "mj-carousel", "mj-carousel-image", "mj-column"),
    *("mj-divider", "mj-group", "mj-hero", "mj-image", "mj-navbar"),
    *("mj-navbar-link", "mj-raw", "mj-section", "mj-social"),
    *("mj-social-element", "mj-spacer", "mj-table", "mj-text", "mj-wrapper"),
)
"""The tags of MJML 4. Its reader passes over others, with all that is in them."""

_BEGINS = re.compile(r"<[A-Za-z]")
_TAG = re.compile(r"<(/?)([A-Za-z][\w:-]*)")
_ATTRIBUTES = re.compile(r"""(?:[^<>"']|"[^"]*"|'[^']*')*""")
_VALUE = re.compile(r"""=\s*(?:"[^"]*"|'[^']*'|[^\s"'>]+)""")
_PROPERTY = re.compile(r"(?<![^;{}:])[^;{}:]*:")
_MJML = re.compile(r"<mj", re.IGNORECASE)


class Tag(NamedTuple):
    start: int
    end: int
    name: str
    """In lower case."""

    closes: bool
    closed: bool
    """By its own slash."""

    attributes: str
    inside: tuple[int, int]
    """Where the text lies that is not markup: of a style, a script, a title."""

    def attribute(self, name: str) -> str | None:
        found = re.search(
            rf"""(?:^|\s){name}\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""",
            self.attributes,
            re.IGNORECASE,
        )
        return next((g for g in found.groups() if g is not None), "") if found else None


def tags(page: Protected, field: str) -> list[Tag]:
    """All tags, in order; those inside comments are none. Raises `TemplateError`."""
    most = TAGS if not page.compiled else COMPILED_TAGS
    if sum(1 for _ in _BEGINS.finditer(page.text)) > most:
        raise page.wrong(0, f"It has more than {most:,} tags. Use fewer.", field)
    return list(_tags(page, field))


def _tags(page: Protected, field: str) -> Iterator[Tag]:
    text, place = page.text, 0
    while (start := text.find("<", place)) >= 0:
        if text.startswith("<!--", start):
            place = text.find("-->", start + 4) + 3
            if place == 2:
                raise page.wrong(start, "This comment is never ended. Write --> behind it.", field)
            continue
        named = _TAG.match(text, start)
        if named is None:
            place = start + 1
            continue
        tag = _tag(page, named, field)
        yield tag
        place = tag.inside[1] if tag.name in VERBATIM and not tag.closes else tag.end


def _tag(page: Protected, named: re.Match[str], field: str) -> Tag:
    attributes = _ATTRIBUTES.match(page.text, named.end())
    end = attributes.end() if attributes else named.end()
    if end >= len(page.text) or page.text[end] != ">":
        raise page.wrong(named.start(), "This tag is never closed. Write > behind it.", field)
    name, closes = named[2].lower(), bool(named[1])
    inside = (end + 1, end + 1)
    if name in VERBATIM and not closes:
        ending = VERBATIM[name].search(page.text, end)
        if ending is None:
            raise page.wrong(
                named.start(), f"<{name}> is never ended. Write </{name}> behind it.", field
            )
        inside = (end + 1, ending.start())
    written = page.text[named.end() : end]
    return Tag(named.start(), end + 1, name, closes, written.endswith("/"), written, inside)


def check_attributes(page: Protected, found: list[Tag], field: str) -> None:
    """Liquid stands in text or in the value of an attribute: nobody keeps the order of attributes,
    so what is between them would end up around others."""
    for tag in found:
        for number in page.found(_VALUE.sub(" ", tag.attributes)) + page.found(tag.name):
            raise page.words[number].wrong(
                "Liquid cannot stand between attributes. Put it into the value of one.", field
            )
        for value in _VALUE.findall(tag.attributes):
            if numbers := page.found(value):
                _check_value(page, value, numbers[0], field)


def _check_value(page: Protected, value: str, first: int, field: str) -> None:
    try:
        marks(page.restored(value))
    except TemplateError as error:
        raise page.words[first].wrong(f"In this attribute: {error.what}", field) from None


def check_styles(page: Protected, found: list[Tag], field: str) -> None:
    """What a rule may give to every element is bounded."""
    size = sum(tag.inside[1] - tag.inside[0] for tag in found if tag.name == "style")
    if size * len(found) > STYLED:
        raise page.wrong(0, "Its style sheets are too large for so many tags. Cut them.", field)


def check_rules(page: Protected, found: list[Tag], field: str) -> None:
    """What it takes to find out which rule is whose. *page* is in order: its reader wrote it."""
    sheets = [page.text[tag.inside[0] : tag.inside[1]] for tag in found if tag.name == "style"]
    selectors = sum(sheet.count("{") + sheet.count(",") for sheet in sheets)
    if selectors * _reach(found, beside=any("~" in sheet for sheet in sheets)) > STEPS:
        raise page.wrong(
            0, "Its style sheets have too many selectors for so many tags. Cut them.", field
        )
    named = [name.strip() for sheet in sheets for name in _PROPERTY.findall(sheet)]
    if len(named) * len(set(named)) * len(found) > COMPARED:
        raise page.wrong(
            0, "Its style sheets set too many properties for so many tags. Cut them.", field
        )


def _reach(found: list[Tag], *, beside: bool) -> int:
    """How many elements stand above each; and if *beside*, before it."""
    reach = 0
    above: list[str] = []
    before = [0]
    for tag in found:
        if not tag.closes:
            before[-1] += 1
            reach += len(before) + (before[-1] if beside else 0)
            if tag.name not in VOID:
                above.append(tag.name)
                before.append(0)
        elif above and above[-1] == tag.name:  # what looks like an end in a text ends nothing
            above.pop()
            before.pop()
    return reach


def check_values(page: Protected, found: list[Tag], field: str) -> None:
    """And so is what mj-attributes may."""
    longest = max((len(tag.attributes) for tag in found), default=0)
    if longest * len(found) > STYLED:
        raise page.wrong(0, "An attribute is too long for so many tags. Cut it.", field)


def check_mjml(page: Protected, found: list[Tag], field: str) -> None:
    """Every mj-tag is ended, in order: MJML's reader takes any end for any beginning."""
    if sum(1 for _ in _MJML.finditer(page.text)) > MJML_TAGS:
        raise page.wrong(0, f"It has more than {MJML_TAGS:,} MJML tags. Use fewer.", field)
    nested: list[Tag] = []
    for tag in found:
        if not tag.name.startswith("mj"):
            continue
        if tag.name == "mj-include":
            raise page.wrong(
                tag.start, "mj-include is not known here. Write what it would include.", field
            )
        if tag.name not in MJML:
            sentence = f"{tag.name} is no tag of MJML. Mend its name, or put HTML into mj-raw."
            raise page.wrong(tag.start, sentence, field)
        if tag.closes:
            _close(page, tag, nested, field)
        elif not tag.closed:
            nested.append(tag)
        if len(nested) > MJML_DEPTH:
            raise page.wrong(
                tag.start,
                f"Tags stand more than {MJML_DEPTH} deep. Nest fewer.",
                field,
            )
    if nested:
        last = nested[-1]
        raise page.wrong(
            last.start, f"<{last.name}> is never ended. Write </{last.name}> behind it.", field
        )


def _close(page: Protected, tag: Tag, nested: list[Tag], field: str) -> None:
    if not nested:
        raise page.wrong(tag.start, f"</{tag.name}> ends nothing. Leave it out.", field)
    last = nested.pop()
    if last.name != tag.name:
        raise page.wrong(tag.start, f"<{last.name}> is still open here. End it first.", field)
