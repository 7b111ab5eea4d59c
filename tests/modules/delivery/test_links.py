"""Links lead through us and back to where they led; nobody else can make one."""

from html import escape
from html.parser import HTMLParser
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from martech.kernel.templates import Template
from martech.modules.delivery.domain.links import Kind, Signer, link_id, opened
from martech.modules.delivery.domain.rewriting import (
    Rewritten,
    named,
    normal,
    rewrite,
    unescape,
)

BASE = "https://mail.example"
TENANT, MESSAGE = UUID(int=7), UUID(int=8)
KEY = bytes(range(32))
SIGNER = Signer(KEY, TENANT)
OUT = SIGNER.url(BASE, "u", MESSAGE)


def rewritten(html: str, text: str = "", *, origins: frozenset[str] | None = None) -> Rewritten:
    """As if all of it stood in the template, unless it is said what does."""
    if origins is None:
        origins = named(html.replace("{", "("), text.replace("{", "("))
    return rewrite(html, text, origins=origins, base=BASE, signer=SIGNER, message_id=MESSAGE)


class Reader(HTMLParser):
    """What a browser makes of it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.hrefs: list[str | None] = []
        self.pictures: list[str | None] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in ("a", "area") and "href" in named:
            self.hrefs.append(named["href"])
        if tag == "img":
            self.pictures.append(named.get("src"))


def leads_to(made: Rewritten, href: str | None) -> str:
    """Where a click would be sent on to."""
    assert href is not None
    start = f"{BASE}/c/"
    assert href.startswith(start), href
    token = opened("c", href.removeprefix(start))
    assert token is not None
    assert token.holds(KEY)
    assert (token.tenant, token.message_id) == (TENANT, MESSAGE)
    return made.links[token.link_id]


@pytest.mark.parametrize(
    ("html", "url"),
    [
        ('<a href="https://shop.example/">x</a>', "https://shop.example/"),
        ("<a href='http://shop.example?a=1'>x</a>", "http://shop.example?a=1"),
        ("<A  CLASS=x HREF = https://shop.example/a >x</A>", "https://shop.example/a"),
        (
            '<a\nclass="b"\nhref="https://shop.example/?a=1&amp;b=2">',
            "https://shop.example/?a=1&b=2",
        ),
        ('<a href="https://shop.example/?a=1&copy=2">', "https://shop.example/?a=1&copy=2"),
        (
            '<a href="https://shop.example/?q=&quot;a&quot;&#x41;&#66;">',
            "https://shop.example/?q=%22a%22AB",
        ),
        ('<a href=" https://shop.example/a b ">', "https://shop.example/a%20b"),
        ('<a href="https://shop.example/gr&uuml;n">', "https://shop.example/gr%C3%BCn"),
        ('<area shape="rect" href="https://shop.example/">', "https://shop.example/"),
        ('<a title="x"href="https://shop.example/">', "https://shop.example/"),
        (
            '<a href="https://user:pw@shop.example:8443/%41#top">',
            "https://user:pw@shop.example:8443/%41#top",
        ),
        (
            '<a href="https://shop.example/&#13;&#10;Set-Cookie:x">',
            "https://shop.example/Set-Cookie:x",
        ),
    ],
)
def test_a_link_of_the_mail_leads_through_us(html: str, url: str) -> None:
    made = rewritten(html)
    (href,) = Reader(made.html).hrefs
    assert leads_to(made, href) == url
    assert made.links == {link_id(url): url}


@pytest.mark.parametrize(
    "href",
    [
        *("mailto:ada@example.com", "tel:+49", "#top", "", "/here", "//host/x", "javascript:x()"),
        *("data:text/html,x", "ftp://x/", "https://", "http:///x", OUT, f"{BASE}/anything"),
        "https://shop.example/" + "x" * 8000,
    ],
)
def test_whatever_else_it_is_stays_as_it_is(href: str) -> None:
    html = f'<p><a class="x" href="{href}">x</a></p>'
    made = rewritten(html, f"See {href} there")
    assert made.html.startswith(html)
    assert made.text == f"See {href} there"
    assert made.links == {}


@pytest.mark.parametrize(
    "html",
    [
        '<a data-href="https://shop.example/">',
        '<link href="https://shop.example/x.css">',
        "<abbr href='https://shop.example/'>",
        '<img src="https://shop.example/x.png">',
        "https://shop.example/",
    ],
)
def test_what_is_no_link_is_none(html: str) -> None:
    assert rewritten(html).links == {}


def test_the_picture_stands_at_the_end_of_the_body() -> None:
    made = rewritten("<html><body><p>Hello</p></body></html>")
    (source,) = Reader(made.html).pictures
    assert source is not None
    token = opened("o", source.removeprefix(f"{BASE}/o/"))
    assert token is not None
    assert token.holds(KEY)
    assert made.html.endswith("></body></html>")
    assert rewritten("<p>Hello</p>").html.startswith("<p>Hello</p><img ")
    assert rewritten("").html == ""


@pytest.mark.parametrize(
    ("text", "url", "rest"),
    [
        ("https://shop.example/a.", "https://shop.example/a", "."),
        ("(https://shop.example/a)", "https://shop.example/a", ")"),
        ("https://shop.example/a_(b)!", "https://shop.example/a_(b)", "!"),
        ("<https://shop.example/a?b=c&d=e>", "https://shop.example/a?b=c&d=e", ">"),
        ("HTTPS://shop.example/a\nnext", "HTTPS://shop.example/a", "\nnext"),
    ],
)
def test_a_link_of_the_text_leads_through_us(text: str, url: str, rest: str) -> None:
    made = rewritten("", text)
    start = text.index(url)
    assert made.text.startswith(text[:start])
    assert made.text.endswith(rest)
    href = made.text[start : len(made.text) - len(rest)]
    assert leads_to(made, href) == url


AUTHORS = (
    "<p><a title='For {{ name }}' href='https://shop.example/boots?for={{ name }}'>{{ name }}</a>"
    '<img src="https://pictures.example/x.png" title="{{ name }}"></p>'
    '<a title="{{ name }}" href="https://shop.example/{{ name }}">all</a>'
)
PLAIN = "Dear {{ name }}, see https://shop.example/boots?for={{ name }} and {{ name }}."
WISHES = (
    *(
        "https://evil.example/login",
        "you href=https://evil.example/2",
        "' href='https://evil.example",
    ),
    *(
        "' href=https://evil.example ",
        "><a href=https://evil.example>",
        "https://pictures.example/x",
    ),
    *("https://shop.example.evil.example/", "https://shop.example@evil.example/"),
    *(r"https://shop.example\@evil.example/", "https://shop.example:x@evil.example", "{{ name }}"),
    *("https://shop.example%2F@evil.example", "https://shop.example\t.evil.example", "{}", "/"),
    *("https://shop.example:444/", "http://shop.example/", "//evil.example", "https:evil.example"),
    *("https://evil.example#https://shop.example/", "https://evil.example\\https://shop.example/"),
)


def filled(html: str, text: str, name: str) -> Rewritten:
    """The mail of two templates to somebody of that *name*."""
    values = {"name": name}
    page = Template.parse(html, html=True).render(values)
    plain = Template.parse(text, html=False).render(values)
    return rewritten(page, plain, origins=named(html, text))


@given(st.sampled_from(WISHES) | st.lists(st.sampled_from(WISHES), max_size=4).map("".join))
@example("https://evil.example/login")
def test_nobody_s_name_leads_anywhere_through_us(name: str) -> None:
    made = filled(AUTHORS, PLAIN, name)
    found = [leads_to(made, href) for href in Reader(made.html).hrefs]
    assert len(found) == 2, "as many links as the author wrote"
    for url in (*found, *made.links.values()):
        assert urlsplit(url)[:2] == ("https", "shop.example")


@pytest.mark.parametrize(
    "href",
    [
        *(
            "{{ name }}",
            "https://{{ name }}/",
            "https://shop.{{ name }}",
            "https://{{ name }}.shop/",
        ),
        *("https://shop{{ name }}.example/", "https://shop.example{{ name }}", "htt{{ name }}"),
        *("https://shop.example:{{ name }}/", "https://{{ name }}@shop.example/x", "{{ name }}/x"),
    ],
)
@given(name=st.sampled_from(WISHES) | st.text(alphabet="/.:@{}\\example", max_size=12))
def test_a_host_that_a_value_completes_is_nobody_s(href: str, name: str) -> None:
    made = filled(f'<a href="{href}">x</a>', f"See {href} there", name)
    assert made.links == {}


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a href="{{ name }}">x</a>', "It is https://shop.example, really."),
        ('<a href="{{ name }}">x</a><a href="https://shop.example">y</a>', ""),
        ("<a href=\"{{ name | default: 'https://shop.example' }}\">x</a>", ""),
        ('{% assign shop = "https://shop.example" %}<a href="{{ shop }}/boots">x</a>', ""),
        ('<a href="{{ name }}">x</a><a href="HTTPS://Shop.Example?x={{ name }}">y</a>', ""),
    ],
)
def test_a_host_that_the_template_names_is_followed_wherever_it_stands(
    html: str, text: str
) -> None:
    made = filled(html, text, "https://shop.example/boots")
    assert "https://shop.example/boots" in made.links.values()
    assert leads_to(made, Reader(made.html).hrefs[0]) == "https://shop.example/boots"


def test_what_is_quoted_in_a_tag_is_no_link() -> None:
    other = "<a title=' href=https://shop.example/2 ' href='https://shop.example/1'>x</a>"
    made = rewritten(f'<a title="a > b href=https://shop.example/2">x</a>{other}')
    assert list(made.links.values()) == ["https://shop.example/1"]
    assert "title=' href=https://shop.example/2 '" in made.html


urls = st.builds(
    "{}://{}/{}".format,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["shop.example", "shop.example:8080", "exämple.de", "[::1]"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)


@given(st.lists(urls, max_size=5))
@example(["https://shop.example/&amp;amp&lt", "https://shop.example/&notit;&not=1&#0;&#xD800;"])
def test_every_link_is_found_and_means_what_it_meant(given_urls: list[str]) -> None:
    html = " ".join(f'<a class="b" href="{escape(url)}">x</a>' for url in given_urls)
    made = rewritten(html)
    found = [leads_to(made, href) for href in Reader(made.html).hrefs]
    assert found == [normal(url) for url in given_urls]
    for url in made.links.values():
        assert url.isascii()
        assert url.isprintable()
        assert " " not in url


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text())
def test_no_html_and_no_text_is_too_strange(html: str, text: str) -> None:
    made = rewritten(html, text)
    assert set(made.links) == {link_id(url) for url in made.links.values()}


def test_a_page_of_open_tags_is_read_in_time() -> None:
    """A backtracking expression would take years."""
    for piece in ("<a ", "<a href=", '<a href="', "<a href='x", "<a\thref", "<a/", "href=" * 5):
        text = "https://" + "(" * 100_000 + ")" * 20_000
        rewritten(piece * 100_000, text, origins=frozenset({"https://shop.example"}))


@given(st.text(st.sampled_from("&#;=xXcopyamltgnq1 0"), max_size=30))
@example("&copy=1&copy;&copy &amp&amp;=&notit;&notin;&#x41&#65;&#0;&")
def test_entities_mean_in_attributes_what_browsers_read(value: str) -> None:
    class Browser(HTMLParser):
        read: str | None = None

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.read = attrs[0][1]

    assert unescape("https://x/?" + value).startswith("https://x/?")
    if "&" not in value:
        assert unescape(value) == value
    assert unescape(escape(value)) == value


@given(
    st.uuids(), st.uuids(), st.sampled_from(["c", "o", "u"]), st.binary(min_size=12, max_size=12)
)
def test_a_token_says_what_it_was_made_of(
    tenant: UUID, message: UUID, kind: Kind, link: bytes
) -> None:
    id_ = link.hex() if kind == "c" else ""
    made = Signer(KEY, tenant).token(kind, message, id_)
    token = opened(kind, made)
    assert token is not None
    assert (token.kind, token.tenant, token.message_id, token.link_id) == (
        kind,
        tenant,
        message,
        id_,
    )
    assert token.holds(KEY)
    assert not token.holds(b"another")
    assert made.replace("-", "").replace("_", "").isalnum()
    assert len(made) <= 80


def test_a_token_is_for_one_purpose() -> None:
    read = SIGNER.token("o", MESSAGE)
    token = opened("u", read)
    assert token is not None
    assert not token.holds(KEY), "whoever loads pictures unsubscribes nobody"
    assert opened("c", read) is None


@given(st.integers(0, 79), st.integers(0, 5))
def test_a_bit_that_was_changed_is_noticed(place: int, bit: int) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    made = SIGNER.token("c", MESSAGE, link_id("https://shop.example/"))
    other = alphabet[alphabet.index(made[place]) ^ (1 << bit)]
    token = opened("c", made[:place] + other + made[place + 1 :])
    assert token is not None
    assert not token.holds(KEY)


@pytest.mark.parametrize(
    "token",
    ["", "x", "A" * 63, "A" * 65, "=" * 64, "é" * 64, "A" * 63 + "\n", "../" * 22, "A+/" * 22],
)
def test_what_is_no_token_is_none(token: str) -> None:
    for kind in ("c", "o", "u"):
        assert opened(kind, token) is None


def test_nobody_else_can_make_one() -> None:
    forged = Signer(uuid4().bytes * 2, TENANT).token("c", MESSAGE, link_id("https://evil.example/"))
    token = opened("c", forged)
    assert token is not None
    assert not token.holds(KEY)
