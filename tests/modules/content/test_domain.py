"""From what people write to what is sent: nothing of the Liquid is lost, moved or changed."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from martech.kernel.errors import Invalid
from martech.kernel.templates import Template, TemplateError, marks
from martech.modules.content import domain
from martech.modules.content.domain import Texts
from martech.modules.content.domain.drafts import PRINTED
from martech.modules.content.domain.protecting import protected
from tests.modules.content.conftest import MJML

ADA: dict[str, object] = {"profile": {"first_name": "Ada", "items": [1, 2], "id": 7}}


def html_of(source: str) -> str:
    return domain.compiled(Texts(subject="x", html=source)).html


def mjml(inside: str) -> Texts:
    column = f"<mj-section><mj-column>{inside}</mj-column></mj-section>"
    return Texts(subject="x", mjml=f"<mjml><mj-body>{column}</mj-body></mjml>")


def text_of(source: str) -> str:
    return domain.compiled(Texts(subject="x", html=source)).text


def refused(texts: Texts) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        domain.compiled(texts)
    return caught.value


LIQUID = [
    "{{ profile.first_name }}",
    '{{ profile.first_name | default: "a & <b>" }}',
    "{% if profile.a < 5 and profile.b == '<i>' %}{{ x }}{% endif %}",
    "{% for i in profile.items %}{{ i }}{% endfor %}",
    "{% assign x = 'a&b' %}",
    "{% raw %}{{ <b>x</b> & }}{% endraw %}",
    "{% comment %}<p class='{{ x }}'>{% endcomment %}",
]
PLACES = [
    "<p>{}</p>",
    '<p title="{}">x</p>',
    "<p title='{}'>x</p>",
    '<a href="https://example.com/?a=1&amp;b={}">x</a>',
    "<table><tr>{}<td>x</td></tr></table>",
    "<table>{}<tr><td>x</td></tr></table>",
    "<ul>{}<li>x</li></ul>",
    "<select>{}<option>x</option></select>",
    "<!--[if mso]>{}<![endif]-->",
    "<title>{}</title>",
    "{}",
]


@pytest.mark.parametrize("liquid", LIQUID)
@pytest.mark.parametrize("place", PLACES)
def test_liquid_comes_through_html_as_it_was(place: str, liquid: str) -> None:
    assert liquid in html_of(place.replace("{}", liquid))


MJML_PLACES = [
    "<mj-text>{}</mj-text>",
    '<mj-text css-class="{}">x</mj-text>',
    '<mj-button href="https://example.com/?a=1&b={}">x</mj-button>',
    "<mj-table>{}<tr><td>x</td></tr></mj-table>",
    "<mj-raw>{}</mj-raw>",
    "{}<mj-text>x</mj-text>",
]


@pytest.mark.parametrize("liquid", LIQUID)
@pytest.mark.parametrize("place", MJML_PLACES)
def test_liquid_comes_through_mjml_as_it_was(place: str, liquid: str) -> None:
    assert liquid in domain.compiled(mjml(place.replace("{}", liquid))).html


PIECES = st.sampled_from(
    [
        *LIQUID,
        *("<p>", "</p>", "<b>", "</b>", "<br>", "<!-- c -->", "<style>p{color:red}</style>"),
        *("<table><tr><td>", "</td></tr></table>", "<table>", "<tr>", "<td>", "</table>", "<div>"),
        *("text ", "<a href='https://example.com'>", "</a>", "&amp;", "&lt;", "lq0x1x", "é"),
        *("{", "}", "%", "<", "&#123;", "{% if profile.x %}", "{% endif %}"),
        *("<html>", "<head>", "</head>", "<body>", "<!doctype html>", "<select>", "<option>"),
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join))
@example("&#123;&#123; profile.first_name }}")
@example("<table>{% if profile.x %}<tr></table>{% endif %}")
@settings(max_examples=300)
def test_whatever_compiles_holds_the_same_liquid_in_the_same_order(source: str) -> None:
    try:
        made = html_of(source)
    except TemplateError:
        return
    before = [source[mark.start : mark.end] for mark in marks(source)]
    after = [made[mark.start : mark.end] for mark in marks(made)]
    assert before == after


@given(st.text(max_size=300))
@example("<" * 50)
@example("<!--><p>")
@example("</p" * 20)
def test_any_text_compiles_or_is_refused_with_its_place(source: str) -> None:
    for texts in (Texts(subject="x", html=source), Texts(subject="x", mjml=source)):
        place = (1, 1)
        try:
            domain.compiled(texts)
        except TemplateError as error:
            assert error.field in ("html", "mjml", "text")  # noqa: PT017 - either way is fine
            place = (error.line, error.column)
        assert min(place) >= 1


@given(st.lists(st.sampled_from([*LIQUID, "é", "\n", "<p>", "lq0x0x"]), max_size=8).map("".join))
def test_protected_text_gives_its_source_back_and_knows_its_places(source: str) -> None:
    page = protected(source)

    assert page.restored(page.text) == source
    for match in page.pattern.finditer(page.text):
        assert page.origin(match.start()) == page.words[int(match[1])].mark.start
    assert page.origin(len(page.text)) == len(source)


def test_style_sheets_go_into_their_elements_and_stay_for_what_cannot() -> None:
    made = html_of("<style>p{color:red} a:hover{color:blue}</style><p>x</p>")

    assert '<p style="color: red;">' in made
    assert "a:hover{color:blue}" in made


@pytest.mark.parametrize(
    "style",
    [
        "color: {{ x }}",
        "{% if profile.x %}color: red{% endif %}",
        "color: red;{% if profile.x %}width: 1px;{% endif %}border: 0",
    ],
)
def test_liquid_in_a_style_stays_in_it_when_rules_come_to_it(style: str) -> None:
    made = html_of(f"<style>p{{margin:0}}</style><p style='{style}'>x</p>")

    assert f'<p style="margin: 0;{style}">x</p>' in made


def test_nothing_is_loaded_from_anywhere() -> None:
    link = '<link rel="stylesheet" href="http://127.0.0.1:9/never.css"><p>x</p>'

    assert "never.css" in html_of(link), "it is left to the mail program"
    assert refused(mjml("<mj-include path='http://127.0.0.1:9/x.mjml' />")).field == "mjml"
    assert "fonts.googleapis" not in domain.compiled(mjml("<mj-text>x</mj-text>")).html


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Hi {{ profile.first_name }}</p><p>Bye</p>", "Hi {{ profile.first_name }}\n\nBye\n"),
        ("<a href='{{ unsubscribe_url }}'>Stop</a>", "Stop ({{ unsubscribe_url }})\n"),
        ("<a href='https://x.org'>https://x.org</a>", "https://x.org\n"),
        ("<a href='mailto:a@x.org'>a@x.org</a> <a href='#top'>up</a>", "a@x.org up\n"),
        ("<a href='https://x.org'><img src='x' alt='Tea'></a>", "Tea (https://x.org)\n"),
        ("<ul><li>a</li><li>b &amp; c</li></ul>", "- a\n- b & c\n"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a b\n"),
        ("a<br>b<hr>c", "a\nb\n\n----\n\nc\n"),
        ("<head><title>no</title></head><style>p{}</style><script>no</script>x", "x\n"),
        ("<div style='display: none'>no <b>no</b><br></div>yes", "yes\n"),
        ("&#123;&#123; x }}", "{{ '{{' }} x }}\n"),
        ("&#123;% if %}", "{{ '{%' }} if %}\n"),
    ],
)
def test_a_text_is_derived_from_the_html(html: str, text: str) -> None:
    assert text_of(html) == text


def test_what_was_written_as_no_liquid_is_printed_as_it_was() -> None:
    made = domain.preview(Texts(subject="x", html="<p>&#123;&#123; x }} &#123;% y %}</p>"), {})

    assert made.text == "{{ x }} {% y %}\n"
    assert "&#123;{ x }} &#123;% y %}" in made.html


def test_a_text_that_is_given_is_left_alone() -> None:
    texts = Texts(subject="x", html="<p>x</p>", text="  {{ profile.first_name }}\n")

    assert domain.compiled(texts).text == "  {{ profile.first_name }}\n"


NAMES = "".join(f"a{number}:b;" for number in range(2_000))


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ("<p {% if x %}class='a'{% endif %}>x</p>", "between attributes"),
        ("<{{ profile.x }}>", "between attributes|name a tag"),
        ("<p title='{% if x %}a'>x</p><p title='{% endif %}'>", "In this attribute"),
        ("<table>{% if x %}text{% endif %}<tr></tr></table>", "would move this"),
        ("<style>p{margin:0}</style><p>\n<p style='{{ x }}'>", "style cannot be read"),
        ("<style>p{margin:0}</style><p style='(((('>", "style cannot be read"),
        ("<p title='x", "never closed"),
        ("<!-- x", "never ended"),
        ("<style>p{}", "never ended"),
        ("<p>" * 2_501, "tags"),
        ("<!--><div><table><td></div>" * 1_000, "tags"),
        (f"<style>p{{color:{'x' * 60_000}}}</style>" + "<p>" * 2_000, "style sheets"),
        (f"<style>{'a~b{x:y}' * 200}</style><a></a>" + "<b></b>" * 1_100, "selectors"),
        (f"<style>{'div:not(a div){x:y}' * 50}</style>" + "<div>" * 2_100, "selectors"),
        (f"<style>*{{{NAMES}}}</style>" + "<p></p>" * 1_000, "properties"),
    ],
)
def test_html_that_would_come_out_as_something_else_is_refused(html: str, said: str) -> None:
    error = refused(Texts(subject="x", html=html))

    assert error.field == "html"
    assert any(each in error.what for each in said.split("|")), error.what


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("<mj-text>x</mj-table>", "still open"),
        ("<mj-txt>x</mj-txt>", "mj-txt is no tag of MJML. Mend its name"),
        ("<mj-text>x</mj-texx>", "mj-texx is no tag of MJML. Mend its name"),
        ("<mj-text>x", "still open"),
        ("</mj-text>", "still open"),
        ("<mj-divider>{{ x }}</mj-divider>", "mj-raw"),
        ("<mj-text>a <b>c</mj-text>", "<b> is never ended"),
        ("<mj-text>a < c</mj-text>", "no MJML"),
        ("<mj-image {{ x }} />", "between attributes"),
        ("<mj-wrapper>" * 40 + "</mj-wrapper>" * 40, "deep"),
        ("<mj-text></mj-text>" * 1_100, "MJML tags"),
    ],
)
def test_mjml_that_its_reader_would_take_for_something_else_is_refused(
    inside: str, said: str
) -> None:
    error = refused(mjml(inside))

    assert error.field == "mjml"
    assert said in error.what


def test_where_mjml_says_no_more_than_that_it_is_none_the_place_is_found() -> None:
    lines = ["<mj-text>a &amp; b</mj-text>", "<mj-text>", "  1 < 2", "</mj-text>"]
    for broken in ("  1 < 2", "  <!-- a -- b -->", "  <b c=d>e</b>"):
        error = refused(mjml("\n".join([*lines[:2], broken, *lines[3:]])))
        assert (error.line, error.column) == (3, 3), broken
    error = refused(mjml("\n<mj-text>\né <i>{{ profile.first_name }}\n</mj-text>"))
    assert (error.line, error.column) == (3, 3)


def test_no_text_is_made_of_what_hides_half_a_condition() -> None:
    html = "<div style='display:none'>{% if profile.x %}</div>{% endif %}"

    assert refused(Texts(subject="x", html=html)).field == "text"
    assert domain.compiled(Texts(subject="x", html=html, text="y")).text == "y"


def test_a_mail_is_as_large_as_it_may_be() -> None:
    small = Texts(subject="x", html="<p>" + "x" * 190_000)
    assert len(domain.compiled(small).html) < PRINTED
    rules = "".join(f".a{n}, table ~ p .b{n} {{ color: red; margin: 0 }}\n" for n in range(200))
    rows = "<tr><td class='a1'>x<br><span class='b1'>y</span></td></tr>" * 250
    ruled = html_of(f"<style>{rules}</style><table>{rows}</table>")
    assert ruled.count("color: red;margin: 0;") >= 250
    large = "".join(f"<p style='{'x:y;' * 30}'>{'&lt;' * 500}</p>" for _ in range(90))
    assert domain.compiled(Texts(subject="x", html=large)).html


def test_a_sample_and_a_draft_have_bounds() -> None:
    with pytest.raises(Invalid):
        domain.check(Texts(subject="x", mjml="a", html="b"), {})
    with pytest.raises(Invalid):
        domain.check(Texts(subject="x"), {"profile": {"x": "y" * 64_000}})


def findings(texts: Texts, sample: dict[str, object] | None = None) -> list[tuple[str, str, int]]:
    return [(f.level, f.message.split(". ")[0], f.line) for f in domain.lint(texts, sample or ADA)]


def test_a_mail_that_is_in_order_has_no_findings() -> None:
    assert findings(Texts(subject="Hi {{ profile.first_name }}", mjml=MJML)) == []


def test_lint_says_what_would_be_better_and_where() -> None:
    html = (
        "<p>{{ profile.fist_name }} {{ profile.items.size }} {{ profile.items[0] }}</p>\n"
        "<img src='https://x.org/a.png'>\n"
        "<a href='http://x.org'>x</a> {{ name }}\n"
    )

    assert findings(Texts(subject="{{ profile.id }}", html=html, text="{{ profile.x }}")) == [
        ("warning", "profile.fist_name is not in the sample", 1),
        ("warning", "name is known to no mail", 3),
        ("warning", "Where images are blocked, this says nothing", 2),
        ("warning", "This link is not encrypted", 3),
        ("warning", "Nobody can unsubscribe", 3),
        ("warning", "profile.x is not in the sample", 1),
    ]


@pytest.mark.parametrize(
    ("href", "said"),
    [
        *(("{{ profile.url }}", True), ("https://{{ profile.url }}/x", True)),
        *(("https://shop.example{{ profile.url }}", True), ("https://{{ x }}.example", True)),
        *(("https://shop.example/{{ profile.url }}", False), ("{{unsubscribe_url}}", False)),
        *(("https://shop.example?q={{ profile.url }}", False), ("{{- unsubscribe_url }}", False)),
        *(("mailto:{{ profile.url }}", False), ("#{{ profile.url }}", False)),
    ],
)
def test_lint_says_which_clicks_may_not_be_counted(href: str, said: bool) -> None:
    html = f'<p>{{{{ unsubscribe_url }}}}</p>\n<a href="{href}">x</a>'
    sentence = "Its clicks are counted only if the template names the host"
    found = findings(Texts(subject="x", html=html, text="x"), {})
    assert (("warning", sentence, 2) in found) is said


def test_letters_that_grow_in_lower_case_hide_no_tag() -> None:
    title = f"<head><title>{'İ' * 40}</title></head>"
    found = domain.lint(
        Texts(subject="x", html=f"{title}<p>{{{{ unsubscribe_url }}}}<img src=a>"), {}
    )
    assert [finding.message for finding in found] == [
        "Where images are blocked, this says nothing. Add alt."
    ]


def test_lint_says_everything_that_is_broken_at_once_errors_first() -> None:
    texts = Texts(subject="", html="{{ x }}\n{% if %}", text="\n{{ x | shout }}")

    assert findings(texts) == [
        ("error", "The subject is empty", 1),
        ("error", "{% if %} is never ended", 2),
        ("error", "There is no filter 'shout'", 2),
    ]


def test_lint_renders_with_the_sample_and_says_the_line_that_people_wrote() -> None:
    texts = Texts(subject="x", html="<p>\n{{ unsubscribe_url }}{{ 1 | divided_by: profile.n }}")

    assert findings(texts, {"profile": {"n": 0}}) == [("error", "Divided_by: can't divide by 0", 2)]


def test_lint_knows_what_gmail_clips() -> None:
    html = "<p>{{ unsubscribe_url }}{% for i in (1..300) %}{{ profile.bio }}{% endfor %}</p>"

    assert findings(Texts(subject="x", html=html), {"profile": {"bio": "x" * 300}}) == []
    clipped = findings(Texts(subject="x", html=html), {"profile": {"bio": "x" * 400}})
    assert [said.split(" and")[1] for _, said, _ in clipped] == [" Gmail shows 104,448"]


def test_preview_and_what_is_sent_are_the_same() -> None:
    texts = Texts(subject="Hi {{ profile.first_name }}", mjml=MJML)
    made, values = domain.compiled(texts), {**ADA, "unsubscribe_url": "https://x.org/u"}
    shown = domain.preview(texts, values)

    assert shown.subject == Template.parse(made.subject, html=False).render(values)
    assert shown.html == Template.parse(made.html, html=True).render(values)
    assert shown.text == Template.parse(made.text, html=False).render(values)
