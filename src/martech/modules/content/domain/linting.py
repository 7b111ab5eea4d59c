"""What is wrong with a draft, and what would be better, before anybody gets it."""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Literal

from martech.kernel.templates import Name, Template, TemplateError
from martech.modules.content.contract import Finding
from martech.modules.content.domain.compiling import body_of, parse, subject_of, text_from
from martech.modules.content.domain.drafts import Texts
from martech.modules.content.domain.markup import Tag, tags
from martech.modules.content.domain.previewing import values_of
from martech.modules.content.domain.protecting import Protected, protected

CLIPPED = 102 * 1024
"""Bytes of HTML, behind which Gmail shows nothing."""

ROOTS = ("profile", "unsubscribe_url", "now")

_BEFORE_A_PATH = re.compile(r"\s*(?:https?://[^/?#]*)?", re.IGNORECASE)

Level = Literal["error", "warning"]


def lint(texts: Texts, sample: Mapping[str, object]) -> list[Finding]:
    """Errors, which keep a draft from being published, and then warnings; by part and place."""
    found = list(chain(_subject(texts, sample), _body(texts, sample), _text(texts, sample)))
    return sorted(found, key=lambda finding: finding.level)


def _subject(texts: Texts, sample: Mapping[str, object]) -> Iterator[Finding]:
    try:
        template = parse(subject_of(texts), "subject", html=False)
    except TemplateError as error:
        yield _error(error, "subject")
        return
    yield from _unknown(template, "subject", sample)
    yield from _rendered(template, "subject", sample)


def _body(texts: Texts, sample: Mapping[str, object]) -> Iterator[Finding]:
    part, source = texts.body
    try:
        html = body_of(texts)
        if texts.text is None:
            text_from(texts, html)
    except TemplateError as error:
        yield _error(error, error.field or part)
        return
    template, page = parse(source, part, html=True), protected(source)
    yield from _unknown(template, part, sample)
    yield from (broken := list(_rendered(template, part, sample)))
    for tag in tags(page, part):
        yield from _tag(page, tag, part)
    if not any(name.path == ("unsubscribe_url",) for name in template.names()):
        yield _warning(
            "Nobody can unsubscribe. Link to {{ unsubscribe_url }}.", part, *_end(source)
        )
    size = 0 if broken else _size(html, part, sample)
    if size > CLIPPED:
        yield _warning(
            f"It has {size:,} bytes, and Gmail shows {CLIPPED:,}. Write less.", part, 1, 1
        )


def _text(texts: Texts, sample: Mapping[str, object]) -> Iterator[Finding]:
    if texts.text is None:
        return
    try:
        template = parse(texts.text, "text", html=False)
    except TemplateError as error:
        yield _error(error, "text")
        return
    yield from _unknown(template, "text", sample)
    yield from _rendered(template, "text", sample)


def _unknown(template: Template, part: str, sample: Mapping[str, object]) -> Iterator[Finding]:
    """Names that no mail knows, and those that the sample lacks."""
    for name in template.names():
        if name.path[0] not in ROOTS:
            sentence = f"{name} is known to no mail. Name profile.…, or unsubscribe_url."
            yield _warning(sentence, part, name.line, name.column)
        elif "profile" in sample and not _has(sample, name):
            sentence = f"{name} is not in the sample. Mend its name, or add it there."
            yield _warning(sentence, part, name.line, name.column)


def _has(sample: Mapping[str, object], name: Name) -> bool:
    if name.path in (("profile",), ("profile", "id"), ("unsubscribe_url",), ("now",)):
        return True
    value: object = sample
    for step in name.path:
        match value, step:
            case {**members}, str():
                if step not in members:
                    return step == "size"
                value = members[step]
            case [*items], int():
                if not -len(items) <= step < len(items):
                    return False
                value = items[step]
            case (([*_] | str()), ("first" | "last" | "size")):
                return True
            case _:
                return False
    return True


def _rendered(template: Template, part: str, sample: Mapping[str, object]) -> Iterator[Finding]:
    try:
        template.render(values_of(sample))
    except TemplateError as error:
        yield _error(error, part)


def _size(html: str, part: str, sample: Mapping[str, object]) -> int:
    try:
        return len(parse(html, part, html=True).render(values_of(sample)).encode())
    except TemplateError:  # said already
        return len(html.encode())


def _tag(page: Protected, tag: Tag, part: str) -> Iterator[Finding]:
    if tag.closes:
        return
    if tag.name in ("img", "mj-image") and tag.attribute("alt") is None:
        error = page.wrong(tag.start, "Where images are blocked, this says nothing. Add alt.", part)
        yield _warning(error.what, part, error.line, error.column)
    href = tag.attribute("href") or ""
    if href.lower().startswith("http:"):
        error = page.wrong(tag.start, "This link is not encrypted. Write https.", part)
        yield _warning(error.what, part, error.line, error.column)
    if _leads_wherever(page, href):
        sentence = (
            "Its clicks are counted only if the template names the host. Write https://host/ "
            "before the Liquid."
        )
        error = page.wrong(tag.start, sentence, part)
        yield _warning(error.what, part, error.line, error.column)


def _leads_wherever(page: Protected, href: str) -> bool:
    """Whether Liquid prints its host, or goes on with it."""
    first = page.pattern.search(href)
    if first is None or not _BEFORE_A_PATH.fullmatch(href[: first.start()]):
        return False
    return page.words[int(first[1])].liquid.strip("{-}").split()[:1] != ["unsubscribe_url"]


def _end(source: str) -> tuple[int, int]:
    lines = source.rstrip().split("\n")
    return len(lines), len(lines[-1]) + 1


def _error(error: TemplateError, part: str) -> Finding:
    return Finding(
        level="error", message=error.what, part=part, line=error.line, column=error.column
    )


def _warning(message: str, part: str, line: int, column: int) -> Finding:
    return Finding(level="warning", message=message, part=part, line=line, column=column)
