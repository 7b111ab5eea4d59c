"""The text of a mail whose author wrote none: what its HTML says, with its links."""

import re
from html.parser import HTMLParser

from martech.modules.content.domain.markup import VOID
from martech.modules.content.domain.protecting import Protected, protected

Attributes = list[tuple[str, str | None]]

_SKIPPED = {"head", "style", "script", "title", "template"}
_PARAGRAPHS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote", "pre"}
_LINES = {"div", "tr", "li", "section", "article", "header", "footer", "address", "dt", "dd"}
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_SPACES = re.compile(r" {2,}")
_LINES_APART = re.compile(r"\n{3,}")
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)


def text_of(html: str) -> str:
    """*html*, which the inliner wrote and which is therefore in order, as a Liquid template of
    plain text."""
    page = protected(html)
    reader = _Reader(page)
    reader.feed(page.text)
    reader.close()
    text = _SPACES.sub(" ", "".join(reader.parts))
    lines = "\n".join(line.strip(" ") for line in text.split("\n"))
    return page.restored(_LINES_APART.sub("\n\n", lines).strip() + "\n")


class _Reader(HTMLParser):
    def __init__(self, page: Protected) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._page = page
        self._skipped = 0
        """How many elements are open since one that is not shown."""

        self._links: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        given = {name: value or "" for name, value in attrs}
        if self._skipped or tag in _SKIPPED or _HIDDEN.search(given.get("style", "")):
            self._skipped += tag not in VOID
            return
        if tag == "br":
            self.parts.append("\n")
        elif tag == "hr":
            self._break("\n\n")
            self.parts.append("----\n\n")
        elif tag == "img":
            self._say(given.get("alt", ""))
        elif tag == "a":
            self._links.append((given.get("href", ""), len(self.parts)))
        elif tag == "li":
            self._break("\n")
            self.parts.append("- ")
        else:
            self._around(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif tag == "a" and self._links:
            self._link(*self._links.pop())
        else:
            self._around(tag)

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self._say(data)

    def handle_comment(self, data: str) -> None:
        """Those of the mail programs are none of ours."""

    def _say(self, data: str) -> None:
        """What looks like Liquid here was written so that it is none."""
        plain = _BLANKS.sub(" ", data)
        self.parts.append(plain.replace("{{", "{{ '{{' }}").replace("{%", "{{ '{%' }}"))

    def _link(self, href: str, start: int) -> None:
        said = "".join(self.parts[start:]).strip()
        if href and not href.startswith("#") and href not in (said, f"mailto:{said}"):
            self.parts.append(f" ({href})" if said else href)

    def _around(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self._break("\n\n")
        elif tag in _LINES:
            self._break("\n")
        elif tag in ("td", "th"):
            self.parts.append(" ")

    def _break(self, lines: str) -> None:
        """At least so many new lines, counting those that are there."""
        said = "".join(self.parts[-4:]).rstrip(" ")
        there = len(said) - len(said.rstrip("\n"))
        self.parts.append("\n" * max(0, len(lines) - there))
