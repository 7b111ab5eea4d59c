"""E15: what people write into a template gets neither secrets nor the machine.

The corpus goes through the engine and, over HTTP, through every part of a draft: subject, body,
text, and the values that fill them in.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from martech.kernel.settings import Settings
from martech.kernel.templates import Template
from martech.modules.content import domain
from martech.modules.content.http import WriteTemplate
from martech.modules.content.module import module
from tests import databases
from tests.chaos.engines import Engine, Formats, Unlimited
from tests.chaos.history import GuaranteeBroken, insist
from tests.serving import Served, serve

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

SECRET = "kronjuwelen"
VARIABLE = "MARTECH_CHAOS_SECRET"

BAR = 0.2
"""Seconds of a thread's own work that E15 allows."""

SECONDS = BAR + 0.05
"""For one reading or rendering: it is stopped at the bar, and there is a last step before it."""

LOOP_SECONDS = BAR / 2
"""For all that the loop does about a request: everybody else waits meanwhile."""

ASIDE_SECONDS = 1.0
"""For all that a child does about a draft: several readings and renderings, and the dearest style
sheet. Nobody waits but who asked: decision 24, which says so beside E15."""

BYTES = 1_000_000


class Person:
    """What a careless caller might hand over."""

    secret = SECRET

    def __repr__(self) -> str:
        return SECRET


WALKS = [
    "{{ person.secret }}",
    "{{ person['secret'] }}",
    "{{ person }}{{ people }}{{ profile }}",
    "{{ people | join }}{{ people | first }}",
    "{{ people | map: 'secret' }}",
    "{{ people | sum: 'secret' }}",
    "{% for p in people %}{{ p }}{{ p.secret }}{{ p.__class__ }}{% endfor %}",
    "{{ person.__class__.secret }}",
    "{{ person.__init__.__globals__.SECRET }}",
    "{{ ''.__class__.__mro__[1].__subclasses__ }}",
    "{{ profile.name.format.__globals__ }}",
    "{{ profile | map: '__class__' }}",
    "{% for i in (1..2) %}{{ forloop.__init__.__globals__ }}{{ forloop.it }}{% endfor %}",
    "{{ '{0.secret}' | append: person }}{{ '%(secret)s' | replace: 'x', person }}",
    "{% capture p %}{{ person }}{% endcapture %}{{ p }}{{ p.__liquid__ }}{{ p | escape }}",
    "{% if person contains 'k' %}{{ person | replace_last: '', person }}{% endif %}",
    "{{ people | where: 'secret' }}{{ people | sort: 'secret' }}{{ people | uniq: 'secret' }}",
]
NAMES = ("env", "ENV", "environ", "os.environ", "settings")
ENVIRONMENT = [
    *(f"{{{{ {name}.{VARIABLE} }}}}" for name in NAMES),
    "{{ self }}{{ context }}{{ template }}{{ globals }}{{ locals }}{{ request }}{{ config }}",
    f"{{{{ '{VARIABLE}' | env }}}}{{{{ '{VARIABLE}' | getenv }}}}",
]
INCLUDES = [
    "{% include 'FILE' %}",
    "{% render 'FILE' %}",
    "{% extends 'FILE' %}",
    "{% include profile.file %}",
    "{% liquid\n include 'FILE'\n%}",
    "{{ 'FILE' | read }}{{ 'FILE' | asset_url }}{{ 'FILE' | stylesheet_tag }}",
    "{% layout 'FILE' %}{% section 'FILE' %}{% import 'FILE' %}{% load 'FILE' %}",
]
LOOPS = [
    "{% for i in (1..300000) %}{{ i }}{% endfor %}",
    "{% for i in (1..100000000) %}{% endfor %}",
    "{% for i in (1..100000000) reversed %}{% endfor %}",
    "{% for i in (1..profile.huge) limit: 1 offset: 99999999 %}{{ i }}{% endfor %}",
    "".join(f"{{% for {n} in (1..300) %}}" for n in "abcd") + "x" + "{% endfor %}" * 4,
    "{% tablerow i in (1..100000000) cols: 1 %}{% endtablerow %}",
    "{% for i in (1..90000) %}{{ profile.bio | upcase | downcase | strip_html }}{% endfor %}",
    "{% for i in (1..90000) %}{% if profile == profile %}{% endif %}{% endfor %}",
    "{% for i in (1..90000) %}{% assign x = profile.many | sort | reverse | uniq %}{% endfor %}",
    "{{ (1..100000000) | join }}{{ (1..100000000) | size }}",
    "{{ profile.many | uniq | size }}",
    "{{ profile.bio | split: '' | sort_natural | uniq | join }}",
    "{% capture b %}" + "{{ profile.bio }}" * 100 + "{% endcapture %}"
    "{% if b == profile.bio or b contains '<' %}x{% endif %}" * 1_000,
    ("{% capture b %}" + "{{ profile.bio }}" * 7 + "{% endcapture %}{% if b == 1 %}{% endif %}")
    * 90,
    "{% assign n = 99999999 %}" + "{% assign n = n | times: n %}" * 60 + "{{ n }}",
    "{% assign l = profile.many %}" + "{% assign l = l | concat: l %}" * 30,
]
OUTPUT = [
    "{% for i in (1..99999) %}" + "x" * 600 + "{% endfor %}",
    "{% for i in (1..99999) %}{{ profile.bio }}{% endfor %}",
    "{% capture s %}{{ profile.bio }}{% endcapture %}" + "{% assign s = s | append: s %}" * 20,
    "{{ profile.bio | replace: 'x', profile.bio }}",
    "{{ profile.bio | replace: '<', profile.bio }}",
    "{% capture b %}{{ profile.bio }}{% endcapture %}{{ b | replace: '<', b | replace: '>', b }}",
    "{{ profile.many | join: profile.bio }}",
    "{{ '2026-01-01' | date: '%50000000d' }}",
    "{% for i in (1..900) %}{% capture s %}{{ s }}{{ profile.bio }}{% endcapture %}{% endfor %}",
]
READING = [
    "{{" + " " * 100_000 + "}}",
    "{{ " + "(" * 1_900 + " }}",
    ("{{ " + "a[" * 600 + "1" + "]" * 600 + " }}") * 40,
    ("{% if " + "a and " * 300 + "a %}{% endif %}") * 20,
    "{% raw %}" * 15_000,
    "{% comment %}" * 10_000,
    "{% if a %}" * 1_000 + "{% endif %}" * 1_000,
    "{{ x }}" * 25_000,
    "{% liquid\n" + "assign x = 1\n" * 10_000 + "%}",
    "{{ " + "9" * 100_000 + " }}",
    "<" * 100_000,
    "<b><p>" * 30_000,
    "<!--><table><td></div>" * 5_000,
    "&#123;" * 30_000,
    "<!" * 45_000,
    f"<style>{'a~b{x:y}' * 1_500}</style><a></a>" + "<b></b>" * 1_100,
    f"<style>{'div:not(a div){x:y}' * 500}</style>" + "<div>" * 2_000,
    "<style>*{" + "".join(f"a{n}:b;" for n in range(5_000)) + "}</style>" + "<p></p>" * 1_000,
    "".join(f"<p><b id={n}></p>" for n in range(1_000)),
]
VALUES: dict[str, object] = {
    "name": "x",
    "bio": "<é>" * 2_000,
    "many": [str(number) for number in range(6_000)],
    "huge": 10**18,
}


def corpus(secret_file: Path) -> Iterator[str]:
    for source in [*WALKS, *ENVIRONMENT, *INCLUDES, *LOOPS, *OUTPUT, *READING]:
        yield source.replace("FILE", str(secret_file))


@pytest.fixture
def secret_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, SECRET)
    file = tmp_path / "secret.txt"
    file.write_text(SECRET)
    return file


def attempt(engine: Engine, source: str, values: dict[str, object], *, html: bool) -> bool:
    """Raise `GuaranteeBroken` if more comes out than may; whether it was refused. What is slow
    three times is slow."""
    spent = 0.0
    for _ in range(3):
        printed, spent, refused = fill(engine, source, values, html=html)
        if SECRET in printed:
            raise GuaranteeBroken(f"a secret got out of {source[:60]!r}")
        if len(printed.encode()) > BYTES:
            raise GuaranteeBroken(f"{len(printed):,} characters got out of {source[:60]!r}")
        if spent <= SECONDS:
            return refused
    raise GuaranteeBroken(f"{source[:60]!r} took {spent:.2f} s")


def fill(
    engine: Engine, source: str, values: dict[str, object], *, html: bool
) -> tuple[str, float, bool]:
    """What comes out, what the longer of reading and rendering took, and whether it was refused."""
    printed, began, read, refused = "", time.thread_time(), 0.0, False
    try:
        template = engine.parse(source, html=html)
        read = time.thread_time() - began
        began = time.thread_time()
        printed = template.render(values)
    except Exception as error:  # noqa: BLE001 - refused is refused, in whoever's words
        printed, refused = str(error), True
    return printed, max(read, time.thread_time() - began), refused


def attack(engine: Engine, sources: Iterator[str], secret_file: Path) -> None:
    people = [Person(), Person()]
    profile = VALUES | {"file": str(secret_file), "person": people[0]}
    values: dict[str, object] = {"person": people[0], "people": people, "profile": profile}
    ended = Counter(
        attempt(engine, source, values, html=html) for source in sources for html in (True, False)
    )
    assert os.environ[VARIABLE] == SECRET, "there was something to be found"
    # refused or rendered: an engine that does the same to all of them shows nothing
    insist(faults=ended[True], wanted=50, tried=ended[False], planned=50)


def test_no_template_gets_a_secret_much_time_or_much_room(secret_file: Path) -> None:
    attack(Template, corpus(secret_file), secret_file)


@pytest.mark.parametrize(
    ("engine", "sources", "said"),
    [
        (Formats, WALKS[:1], "secret"),
        (Unlimited, INCLUDES[:1], "secret"),
        (Unlimited, LOOPS[:1], "characters|took"),
        (Unlimited, OUTPUT[:1], "characters|took"),
    ],
)
@pytest.mark.planted
def test_an_engine_without_walls_is_found_out(
    engine: Engine, sources: list[str], said: str, secret_file: Path
) -> None:
    filed = (source.replace("FILE", str(secret_file)) for source in sources)
    with pytest.raises(GuaranteeBroken, match=said):
        attack(engine, filed, secret_file)


def drafts(source: str) -> Iterator[dict[str, object]]:
    """The attack as each part of a draft, and as a value in a harmless one."""
    sample: dict[str, object] = {"profile": VALUES}
    column = f"<mj-section><mj-column><mj-text>{source}</mj-text></mj-column></mj-section>"
    safe: dict[str, object] = {"name": "x", "subject": "x", "html": "<p>x</p>", "sample": sample}
    yield safe | {"subject": source}
    yield safe | {"html": f"<p>{source}</p>"}
    yield {**safe, "html": None, "mjml": f"<mjml><mj-body>{column}</mj-body></mjml>"}
    yield safe | {"text": source}
    value = {"profile": {"name": source}}
    yield safe | {"html": "<p>{{ profile.name }}</p>", "sample": value}


async def ask(served: Served, path: str, body: object = None) -> tuple[int, str]:
    """The status and the id in the answer. What holds the loop three times holds it."""
    spent, where = 0.0, f"{path[-10:]} of {str(body)[:80]}"
    for _ in range(3):
        began = time.thread_time()
        answer = await served.client.post(
            f"/content/v1/templates{path}", json=body, headers=served.headers()
        )
        spent = time.thread_time() - began
        if SECRET in answer.text:
            raise GuaranteeBroken(f"a secret got out: {where}")
        if len(answer.content) > 3 * BYTES:
            raise GuaranteeBroken(f"{len(answer.content):,} bytes got out: {where}")
        if answer.status_code >= 500:
            raise GuaranteeBroken(f"{answer.status_code} {answer.text[:200]}: {where}")
        if spent <= LOOP_SECONDS:
            return answer.status_code, answer.json().get("id", "")
    raise GuaranteeBroken(f"{spent:.2f} s: {where}")


def worked_on(draft: dict[str, object]) -> None:
    """As a child does. Raise `GuaranteeBroken` if it takes long. What is slow three times is
    slow."""
    kept = msgspec.convert(draft, WriteTemplate)
    for work in (
        partial(domain.attempt_preview, kept.texts, kept.sample),  # which compiles it first
        partial(domain.lint, kept.texts, kept.sample),
    ):
        spent = [_time_of(work)]
        while spent[-1] > ASIDE_SECONDS:
            if len(spent) == 3:
                raise GuaranteeBroken(f"{min(spent):.2f} s: {work.func} of {str(draft)[:80]}")
            spent.append(_time_of(work))


def _time_of(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def test_no_draft_keeps_a_child_for_long(secret_file: Path) -> None:
    for source in corpus(secret_file):
        for draft in drafts(source):
            worked_on(draft)


@pytest.fixture
def content_url(tmp_path: Path) -> str:
    """Nothing of this is a database's."""
    return databases.fresh("sqlite", [module], tmp_path)


async def test_no_draft_gets_a_secret_or_the_loop_in_preview_lint_or_publication(
    content_url: str, secret_file: Path, full: bool
) -> None:
    sources = list(corpus(secret_file))
    every = sources if full else sources[::3]
    shown = tried = 0
    async with serve([module], Settings(database_url=content_url)) as served:
        for source in every:
            for draft in drafts(source):
                status, made = await ask(served, "", draft)
                if status != 201:
                    continue
                for act, body in (("preview", {}), ("lint", None), ("publish", None)):
                    status, _ = await ask(served, f"/{made}/{act}", body)
                    shown += status == 200
                    tried += 1
    assert shown, "something harmless was among them"
    insist(faults=tried, wanted=len(every), tried=tried, planned=len(every))
