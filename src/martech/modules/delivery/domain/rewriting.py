"""The links of a mail, led through us: its author's, and nobody else's.

A mail holds what strangers said of themselves, and a name can be a URL: signed, it would lead from
the sender's own address to wherever they please. So a link is followed only to an origin (scheme,
host and port) that the template itself names, whole, in a link, in its text or in a Liquid string.
"""

import re
from collections.abc import Callable
from functools import cache, lru_cache
from html.entities import html5
from uuid import UUID

import msgspec

from martech.kernel.templates import marks
from martech.modules.delivery.domain.links import Signer, link_id

LONGEST = 8000
"""Characters of a link that is followed through us; a longer one stays as it is."""

_GAP = r"[\t\n\f\r /]*+"
_IS = r"[\t\n\f\r ]*+=[\t\n\f\r ]*+"
_VALUE = r"""(?:"([^"]*+)"|'([^']*+)'|([^\t\n\f\r "'>][^\t\n\f\r >]*+)|(?=>))"""
_SAID = _VALUE.replace("([", "(?:[")
_ATTRIBUTE = rf"{_GAP}[^\t\n\f\r />][^\t\n\f\r />=]*+(?:{_IS}{_SAID}|(?!{_IS}))"
_LINK = re.compile(
    rf"(<a(?:rea)?(?=[\t\n\f\r /])(?:(?!{_GAP}href{_IS}){_ATTRIBUTE})*+)"
    rf"(?:({_GAP}href{_IS}){_VALUE}((?:{_ATTRIBUTE})*+)|{_GAP}>|[\s\S]*+)",
    re.IGNORECASE,
)
"""A tag and its first href, as browsers read them: what is quoted is a value, whatever it looks
like, and a tag that is never closed swallows the rest."""

_MARK = "{}"
_PRINTED = "%7b%7d"
"""What stands for Liquid in a template, and in an origin made of it."""

_PLAIN = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_STRING = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_ORIGIN = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
_END = re.compile(r"</body\s*>", re.IGNORECASE)
_REFERRED = re.compile(
    r"&(?:#([0-9]{1,7});?|#[xX]([0-9a-fA-F]{1,6});?|([A-Za-z][A-Za-z0-9]*;?)(=?))"
)
_DROPPED = re.compile(r"[\x00-\x1f\x7f]+")
_FOREIGN = re.compile(r"[^!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]")


class Rewritten(msgspec.Struct, frozen=True):
    html: str
    text: str
    links: dict[str, str]
    """Where each link id leads: to be stored before the mail leaves."""


def rewrite(
    html: str, text: str, *, origins: frozenset[str], base: str, signer: Signer, message_id: UUID
) -> Rewritten:
    """Lead every link of a rendered mail to one of *origins* through us, and add the picture that
    tells of an opening. The link to unsubscribe, and whatever else leads to *base*, stays as it
    is."""
    links: dict[str, str] = {}
    own = f"{base}/"

    @cache
    def followed(url: str) -> str | None:
        target = normal(url)
        if target is None or target.startswith(own) or _origin(target) not in origins:
            return None
        links[id_ := link_id(target)] = target
        return signer.url(base, "c", message_id, id_)

    made = _with_picture(_in_html(html, followed), signer.url(base, "o", message_id))
    return Rewritten(made if html.strip() else html, _in_text(text, followed), links)


@lru_cache(8)
def named(html: str, text: str) -> frozenset[str]:
    """The origins that a template of these two texts names. One of which Liquid prints a part is
    none of them."""
    page, said = _apart(html)
    plain, more = _apart(text)
    urls = [unescape(_value(link)) for link in _LINK.finditer(page) if link[2]]
    urls += [_without_punctuation(url[0]) for url in _PLAIN.finditer(plain)]
    found = {_origin(url) for url in map(normal, [*urls, *said, *more]) if url is not None}
    return frozenset(origin for origin in found if _PRINTED not in origin)


def normal(url: str) -> str | None:
    """An absolute http URL as a redirect may name it: ASCII, no blanks, no controls. None for
    everything else (mailto:, #, javascript:, relative ones, one without a host)."""
    clean = _DROPPED.sub("", url.strip())
    if not _ORIGIN.match(clean) or len(clean) > LONGEST:
        return None
    return _FOREIGN.sub(_percent, clean)


def unescape(value: str) -> str:
    """What an attribute's *value* means, as browsers read it: ``?a=1&copy=2`` is no ©."""
    return _REFERRED.sub(_character, value) if "&" in value else value


def _origin(target: str) -> str:
    """Of a `normal` URL, in which nothing but ``/?#`` ends the host, whoever reads it."""
    found = _ORIGIN.match(target)
    return found[0].lower() if found else ""


def _apart(source: str) -> tuple[str, list[str]]:
    """A template with one `_MARK` for each of Liquid's, and the strings in the marks."""
    parts, strings, place = [], [], 0
    for mark in marks(source):
        parts.append(source[place : mark.start])
        liquid = source[mark.start : mark.end]
        strings += [double or single for double, single in _STRING.findall(liquid)]
        place = mark.end
    return _MARK.join([*parts, source[place:]]), strings


def _in_html(html: str, followed: Callable[[str], str | None]) -> str:
    def replace(found: re.Match[str]) -> str:
        url = followed(unescape(_value(found))) if found[2] else None
        return found[0] if url is None else f'{found[1]}{found[2]}"{url}"{found[6]}'

    return _LINK.sub(replace, html)


def _value(link: re.Match[str]) -> str:
    return link[3] or link[4] or link[5] or ""


def _in_text(text: str, followed: Callable[[str], str | None]) -> str:
    def replace(found: re.Match[str]) -> str:
        whole = found[0]
        url = _without_punctuation(whole)
        led = followed(url)
        return whole if led is None else led + whole[len(url) :]

    return _PLAIN.sub(replace, text)


def _without_punctuation(url: str) -> str:
    """What ends the sentence, or closes a bracket that was opened before, is not the URL's."""
    while url and (url[-1] in ".,;:!?'*_" or (url[-1] in ")]" and _unopened(url))):
        url = url[:-1]
    return url


def _unopened(url: str) -> bool:
    opening = "(" if url[-1] == ")" else "["
    return url.count(url[-1]) > url.count(opening)


def _with_picture(html: str, url: str) -> str:
    picture = f'<img src="{url}" width="1" height="1" alt="" style="border:0;height:1px;width:1px">'
    ends = list(_END.finditer(html))
    at = ends[-1].start() if ends else len(html)
    return html[:at] + picture + html[at:]


def _character(found: re.Match[str]) -> str:
    decimal, hexadecimal, name, equals = found.groups()
    if name is None:
        number = int(decimal) if decimal else int(hexadecimal, 16)
        return chr(number) if 0 < number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
    if name not in html5 or (equals and not name.endswith(";")):
        return found[0]
    return html5[name] + equals


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode(errors="replace"))
