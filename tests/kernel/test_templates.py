"""Liquid: what it prints, what it refuses, and where it says the mistake is."""

from datetime import UTC, datetime
from html import unescape
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from martech.kernel.errors import Invalid
from martech.kernel.templates import Template, TemplateError, limits
from martech.kernel.templates.filters import FILTERS

ADA = {
    "profile": {
        "id": UUID(int=7),
        "first_name": "Ada",
        "orders": 120,
        "items": [{"name": "Tea", "price": 3.5}, {"name": "Salt & pepper", "price": 2}],
    },
    "unsubscribe_url": "https://example.com/u/1?a=b&c=d",
    "odd": [True, None, 1],
}


OFTEN = "{% for i in (1..9000) %}"


def rendered(source: str, values: dict[str, object] = ADA, *, html: bool = False) -> str:
    return Template.parse(source, html=html).render(values)


def refused(source: str, values: dict[str, object] = ADA) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        rendered(source, values, html=True)
    return caught.value


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        ("Hi {{ profile.first_name }}!", "Hi Ada!"),
        ("{{ profile.last_name | default: 'friend' }}", "friend"),
        ("{% if profile.orders >= 100 %}gold{% else %}new{% endif %}", "gold"),
        ("{% for i in profile.items %}{{ i.name }},{% endfor %}", "Tea,Salt & pepper,"),
        ("{% for i in profile.items reversed %}{{ forloop.index }}{% endfor %}", "12"),
        ("{{ profile.items | map: 'name' | join: ' + ' }}", "Tea + Salt & pepper"),
        ("{{ profile.items | sum: 'price' }}", "5.5"),
        ("{{ '2026-12-24T18:00:00Z' | date: '%d.%m.%Y %H:%M' }}", "24.12.2026 18:00"),
        ("{{ 1700000000 | date: '%Y-%m-%d' }}", "2023-11-14"),
        ("{{ 'soon' | date: '%Y' }}", "soon"),
        ("{{ profile.first_name | upcase | append: '!' | prepend: '>' }}", ">ADA!"),
        ("{{ 'a-b-c' | split: '-' | reverse | join: '' }}", "cba"),
        ("{{ 'a,b,a' | split: ',' | uniq | size }}", "2"),
        ("{{ '<p>Hi <b>you</b><!-- no --></p><style>x</style>' | strip_html }}", "Hi you"),
        ("{% raw %}{{ not this }}{% endraw %}", "{{ not this }}"),
        ("{% comment %}{% if %}{% endcomment %}x", "x"),
        ("{{ profile.items | map: 'size' | join: '-' }}{{ profile.items | map: 'x' }}", "-"),
        ("{% assign x = profile.items | map: 'x' %}{{ x | join: '-' }}{{ x }}{{ x | size }}", "-2"),
        ("{{ profile.items[0] }}{% echo profile.items[0].name %}", '{"name":"Tea","price":3.5}Tea'),
        ("{{ odd }}|{{ odd | join: '-' }}", "true1|true--1"),
        ("{{ profile.id }}", str(UUID(int=7))),
        ("{{ nobody.knows.this }}{{ nor_this }}", ""),
    ],
)
def test_it_prints_what_the_language_says(source: str, printed: str) -> None:
    assert rendered(source) == printed


def test_values_are_escaped_where_they_are_printed_into_html() -> None:
    values: dict[str, object] = {"name": "<b>'\"&</b>", "names": ["<", ">"]}
    escaped = "&lt;b&gt;&#39;&#34;&amp;&lt;/b&gt;"

    assert rendered("<i>{{ name }}</i>", values, html=True) == f"<i>{escaped}</i>"
    assert rendered("{{ '<i>' | append: name }}", values, html=True) == f"<i>{escaped}"
    assert rendered("{{ '<N>' | replace: 'N', name }}", values, html=True) == f"<{escaped}>"
    assert (
        rendered("{{ names | join: ', ' }}{{ names }}", values, html=True) == "&lt;, &gt;&lt;&gt;"
    )
    assert rendered("{{ name }}", values) == "<b>'\"&</b>"


@given(
    value=st.text(),
    filters=st.lists(st.sampled_from(sorted(FILTERS)), max_size=4),
    twice=st.booleans(),
)
@example(value="<script>", filters=["newline_to_br", "strip_newlines"], twice=False)
def test_no_chain_of_filters_prints_a_value_as_html(
    value: str, filters: list[str], twice: bool
) -> None:
    piped = "".join(f" | {name}: value" if twice else f" | {name}" for name in filters)
    template = Template.parse("{{ value" + piped + " }}", html=True)
    try:
        printed = template.render({"value": f"<script>{value}"})
    except TemplateError:
        return
    assert "<" not in printed.replace("<br />\n", "")


KEPT = (
    "{% capture kept %}{{ value }}{% endcapture %}"
    "{% capture bold %}<b>{{ value }}</b>{% endcapture %}"
)


@given(
    value=st.text(st.sampled_from("&lt;#60amp<>'\"= b") | st.characters(exclude_categories=["Cs"])),
    begun=st.sampled_from(["kept", "bold", "'<b>'", "'a' | append: kept", "'<b>' | append: value"]),
    chain=st.lists(
        st.tuples(
            st.sampled_from(sorted(FILTERS)),
            st.sampled_from(["", ": value", ": kept", ": '<b>'", ": '<', kept", ": 2, value"]),
        ),
        max_size=4,
    ),
)
@example(value="&lt;script&gt;", begun="kept", chain=[("strip_html", ""), ("escape_once", "")])
@example(value="", begun="bold", chain=[("strip_html", ""), ("append", ": '<b>'")])
@example(value="", begun="'<b>' | append: value", chain=[("replace", ": '<', kept")])
@example(value="", begun="bold", chain=[("truncatewords", ": 2, value"), ("append", ": '<b>'")])
def test_no_chain_of_filters_frees_what_was_captured(
    value: str, begun: str, chain: list[tuple[str, str]]
) -> None:
    """However the author's tags and a stranger's words are mixed."""
    piped = "".join(f" | {name}{more}" for name, more in chain)
    template = Template.parse(f"{KEPT}{{{{ {begun}{piped} }}}}", html=True)
    try:
        printed = template.render({"value": f"<script>{value}</script>"})
    except TemplateError:
        return
    assert "<script" not in printed.lower()
    assert "</script" not in printed.lower()


LOOKING = [
    *("upcase", "downcase", "capitalize", "append: '!'", 'prepend: "It\'s "', "size", "strip"),
    *("truncate: 9", "truncate: 6, '…'", "truncatewords: 2", "slice: 1, 7", "url_encode", "squish"),
    *("replace: \"'\", '-'", "replace: 'e', value", "replace_first: '&', \"'\"", "remove: ';'"),
    *("replace_last: '#', '3'", "split: '3' | join: value", "split: ' ' | last", "append: value"),
    *("base64_encode", "base64_url_safe_encode | base64_url_safe_decode", "strip_newlines"),
    *(
        'default: "It\'s"',
        "remove_first: '&'",
        "remove_last: 'a'",
        "split: '' | reverse | join: ''",
    ),
]
"""Filters that would find an entity where a text was escaped already."""

NAMES = st.text(
    st.sampled_from("O'Neill & \"<b>#39;amp") | st.characters(exclude_categories=["Cs"])
)


@given(NAMES, st.lists(st.sampled_from(LOOKING), max_size=4))
@example("Sinéad O'Neill", ["truncatewords: 2"])
@example("Tom & Jerry", ["url_encode"])
@example("O'Neill", ["slice: 1, 7", "append: value", "size"])
def test_readers_of_the_html_see_what_readers_of_the_text_see(
    value: str, filters: list[str]
) -> None:
    piped = "".join(f" | {name}" for name in filters)
    capture = "{% capture kept %}It's {{ value }}{% endcapture %}"
    for source in (
        f"{{{{ value{piped} }}}}",
        f'{{{{ "It\'s "{piped} }}}}',
        f"{{{{ kept{piped} }}}}",
    ):
        text, html = (
            Template.parse(capture + source, html=html).render({"value": value})
            for html in (False, True)
        )
        assert unescape(html) == text
        assert not set(html) & set("<>")


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        ("{% if kept == name %}same{% endif %}", "same"),
        ("{% case kept %}{% when name %}same{% endcase %}", "same"),
        ("{% if kept contains \"O'N\" and kept != '' %}there{% endif %}", "there"),
        ("{{ bold | strip_html }}", "O&#39;Neill &amp; &lt;i&gt;"),
        ("{{ bold | strip_html | size }}", "13"),
        ("{{ bold | truncate: 99 }}", "<b>O&#39;Neill &amp; &lt;i&gt;</b>"),
        ("{{ bold | truncatewords: 1 }}", "&lt;b&gt;O&#39;Neill..."),
        ("{{ bold | replace: '&amp;', '+' }}", "<b>O&#39;Neill + &lt;i&gt;</b>"),
        ("{{ bold | split: ' ' | first }}", "<b>O&#39;Neill"),
        ("{{ name | replace: 'N', '<br>' }}", "O&#39;<br>eill &amp; &lt;i&gt;"),
        ("{{ 'a' | append: 'b' | replace_first: 'b', '<br>' }}", "a<br>"),
        ("{{ 'a' | append: 'b' | replace_last: 'a', '<br>' }}", "<br>b"),
        ("{{ name | split: ' ' | join: '<br>' }}", "O&#39;Neill<br>&amp;<br>&lt;i&gt;"),
        ("{{ '<br>' | append: name | remove: '<br>' }}", "O&#39;Neill &amp; &lt;i&gt;"),
        ("{{ '?a=1&region=' | append: name }}", "?a=1&amp;region=O&#39;Neill &amp; &lt;i&gt;"),
        ("{{ '&copy;&nbsp;&#169;' | append: '&notit;' }}", "©\xa0©&amp;notit;"),
        ("{{ name | truncate: 3, '&hellip;' }}", "O&#39;…"),
        ("{% assign kept = kept | escape %}{{ kept }}", "O&#39;Neill &amp; &lt;i&gt;"),
        ("{{ name | newline_to_br | upcase }}", "O&#39;NEILL &amp; &lt;I&gt;"),
        ("{% capture css %}a > b{c:'d'}{% endcapture %}{{ css }}", "a > b{c:'d'}"),
    ],
)
def test_what_the_author_wrote_as_html_stays_html_and_all_else_is_text(
    source: str, printed: str
) -> None:
    name = "O'Neill & <i>"
    capture = "{% capture kept %}{{ name }}{% endcapture %}"
    bold = "{% capture bold %}<b>{{ name }}</b>{% endcapture %}"
    assert rendered(capture + bold + source, {"name": name}, html=True) == printed


def test_a_template_s_text_inside_a_value_stays_text() -> None:
    assert rendered("{{ name }}", {"name": "{{ secret }}", "secret": "x"}) == "{{ secret }}"


def test_the_time_is_a_value_and_never_the_machine_s() -> None:
    at = datetime(2026, 12, 1, tzinfo=UTC)

    assert rendered("{{ 'now' | date: '%d.%m.%Y' }}{{ now | date: '%Y' }}", {"now": at}) == (
        "01.12.20262026"
    )
    assert rendered("{{ 'now' | date: '%Y' }}{{ now }}{{ today }}", {}) == "now"


def test_what_is_no_plain_value_is_not_there() -> None:
    values: dict[str, object] = {"thing": object(), "kind": type, "call": print, "raw": b"bytes"}

    assert rendered("{{ thing }}{{ kind }}{{ call }}{{ raw }}{{ thing.__class__ }}", values) == ""


@pytest.mark.parametrize(
    ("source", "line", "column", "said"),
    [
        ("Hi {{ name", 1, 4, "never closed"),
        ("a\nb {% if x %}\nc", 2, 3, "{% endif %}"),
        ("{% if x %}\n{% endfor %}", 2, 1, "{% if %} is still open"),
        ("x\n\n  {% endcase %}", 3, 3, "ends nothing"),
        ("a\n{{ name | shout }}", 2, 11, "'shout'"),
        ("{% include 'x' %}", 1, 4, "include"),
        ("{% render 'x' %}", 1, 4, "render"),
        ("ab\n{{ a b }}", 2, 6, "word"),
        ("{% raw %}", 1, 1, "{% endraw %}"),
        ("x\n{{ 1 | divided_by: 0 }}", 2, 8, "divide"),
        ("x\n\n{{ 'a' | upcase: 'b' }}", 3, 10, "argument"),
        ("{{ 'a-b' | split }}", 1, 12, "arguments must be 1, and are 0"),
        ("{{ items | sort: 1, 2 }}", 1, 12, "arguments must be 0 to 1, and are 2"),
        ("{{ name | truncate: 5, context: name }}", 1, 11, "'context'"),
        ("{% liquid\n assign x = 1\n echo x | nope\n%}", 3, 11, "'nope'"),
        ("a\n{% break %}", 2, 4, "break"),
        ("{{ " + " " * 100 + "x }}", 1, 1, "blanks"),
    ],
)
def test_a_mistake_has_its_line_its_column_and_a_cure(
    source: str, line: int, column: int, said: str
) -> None:
    error = refused(source)

    assert (error.line, error.column) == (line, column)
    assert said in error.what
    assert error.detail.startswith(f"Line {line}, column {column}: ")
    assert error.what.count(". ") >= 1, "what is wrong, and what to do about it"
    assert isinstance(error, Invalid)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{% for i in (1..100000000) reversed %}{{ i }}{% endfor %}", "turns"),
        ("{% for i in (1..999) %}{% for j in (1..999) %}{% endfor %}{% endfor %}", "turns"),
        ("{% tablerow i in (1..100000000) %}{{ i }}{% endtablerow %}", "turns"),
        ("{% for i in (1..90000) %}{% endfor %}" * 2, "turns"),
        ("{{ (1..100000000) | join: '-' }}", "entries"),
        ("{{ (1..100000000) | sort | last }}", "entries"),
        ("{{ text | split: '' }}", "entries"),
        (
            "{% assign s = text %}{% for i in (1..30) %}{% assign s = s | append: s %}{% endfor %}",
            "",
        ),
        ("{{ text | replace: 'x', text }}", "characters"),
        ("{{ (1..9000) | join: text }}", "characters"),
        (
            "{% assign l = text | split: '-' %}" + "{% assign l = l | concat: l %}" * 15,
            "characters",
        ),
        ("{% capture a %}{% for i in (1..90) %}{{ text }}{% endfor %}{% endcapture %}", "bytes"),
        ("{% for i in (1..90) %}{{ text }}{% endfor %}", "bytes"),
        ("{% assign n = 99999 %}" + "{% assign n = n | times: n %}" * 30, "128 bits"),
        ("{% if a %}" * 40 + "{% endif %}" * 40, "deep"),
        ("{{ x }}" * (limits.MARKS + 1), "tags"),
        ("{{ '" + "x" * limits.MARK + "' }}", "characters"),
        ("x" * (limits.SOURCE + 1), "characters"),
        ("{{ '2026-01-01' | date: '%999999999Y' }}", "widths"),
        ("{{ " + "a[" * 200 + "0" + "]" * 200 + " }}", "parts"),
        ("{% if " + "a or " * 200 + "a %}{% endif %}", "parts"),
        (f"{OFTEN}{{% assign s = text | append: i %}}{{% cycle s: 'a' %}}{{% endfor %}}", "keeps"),
        (("{{ '" + "x" * 1_900 + "' }}") * 20, "characters"),
        ("".join(f"{{% assign v{n} = text %}}" for n in range(60)), "keeps"),
    ],
)
def test_what_would_grow_or_run_for_long_is_refused(source: str, said: str) -> None:
    assert said in refused(source, {"text": "x" * 20_000, "a": 1}).what


@given(st.text(alphabet="{}%|.:'\" -[]()=<>abforinedtusl0123456789\n", max_size=200))
def test_any_text_is_rendered_or_refused_and_nothing_else(source: str) -> None:
    place = (1, 1)
    try:
        rendered(source, html=True)
    except TemplateError as error:
        place = (error.line, error.column)
    assert min(place) >= 1


def test_it_names_the_values_it_asks_for_and_where() -> None:
    template = Template.parse(
        "{% assign hi = 'Hi' %}{{ hi }} {{ profile.first_name }}\n"
        "{% for item in profile.items %}{{ item.name }}{{ profile.first_name }}{% endfor %}"
        "{{ profile[key] }}{{ profile['two words'] }}{{ unsubscribe_url }}",
        html=True,
    )

    assert [(str(name), name.line, name.column) for name in template.names()] == [
        ("profile.first_name", 1, 35),
        ("profile.items", 2, 16),
        ("profile", 2, 86),
        ("key", 2, 94),
        ("profile.two words", 2, 104),
        ("unsubscribe_url", 2, 130),
    ]
    assert [str(name) for name in Template.parse("{{ [key].x }}", html=True).names()] == ["key"]


def test_one_template_renders_alike_however_often_and_for_whomever() -> None:
    template = Template.parse(
        "{% increment n %}{% cycle 'a', 'b' %}{% if x %}{% assign y = x %}{% endif %}{{ y }}",
        html=False,
    )

    assert [template.render({"x": 1}), template.render({}), template.render({"x": 2})] == [
        "0a1",
        "0a",
        "0a2",
    ]
