"""``/_modules``: what each module here is, and how it stands, for programs and for people."""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template

from martech.kernel.messages import View
from martech.kernel.published.shown import Shown
from martech.kernel.standing import ModuleStanding, shown_behind, unheard

Rows = Iterable[Sequence[str]]


class ModuleCard(View, frozen=True, kw_only=True):
    canvas: Shown
    standing: ModuleStanding


class ModuleCards(View, frozen=True, kw_only=True):
    modules: Sequence[ModuleCard]


def render(cards: Sequence[ModuleCard], version: str) -> str:
    """The page for people; it needs no script and no network."""
    here = files("martech.kernel.http")
    page = Template(here.joinpath("modules.html").read_text(encoding="utf-8"))
    names = [escape(card.canvas.name) for card in cards]
    return page.substitute(
        style=here.joinpath("page.css").read_text(encoding="utf-8"),
        version=escape(version),
        contents="".join(f'<a href="#{name}">{name}</a>' for name in names),
        map=_map(cards),
        modules="".join(_module(card, names) for card in cards),
    )


def _map(cards: Sequence[ModuleCard]) -> str:
    """Who hears and asks whom, a line a module."""
    names = [card.canvas.name for card in cards]
    rows = [
        (
            _link(card.canvas.name, names),
            _links({heard.type.split(".")[0] for heard in card.canvas.hears}, names),
            _links(card.canvas.asks, names),
            escape(verdict(card.standing)),
        )
        for card in cards
    ]
    return _table(("module", "hears", "asks", "stands"), rows)


def verdict(standing: ModuleStanding) -> str:
    """How a module stands, in a few words."""
    if not standing.available:
        return "its database, or its store, does not answer"
    parked = standing.parked + sum(heard.parked for heard in standing.subscriptions)
    behind = sum(heard.behind or 0 for heard in standing.subscriptions)
    silent = unheard(standing.subscriptions)
    facts = [f"{standing.told:,} told"]
    facts += [f"cannot hear {', '.join(silent)}"] if silent else []
    facts += [f"{behind:,} on their way"] if behind else []
    facts += [f"{standing.due:,} commands due"] if standing.due else []
    facts += [f"{parked:,} parked"] if parked else []
    return " · ".join(facts)


def _module(card: ModuleCard, names: Sequence[str]) -> str:
    name = escape(card.canvas.name)
    purpose, stands = escape(card.canvas.purpose), escape(verdict(card.standing))
    said = f"<p>{purpose}</p><p class=quiet>{stands}</p>"
    return (
        f'<section id="{name}"><h2>{name}</h2>{said}{_face(card, names)}{_inside(card)}</section>'
    )


def _face(card: ModuleCard, names: Sequence[str]) -> str:
    """What others may know."""
    canvas = card.canvas
    tells = [(_schema(t.type), _code(t.subject), escape(t.what)) for t in canvas.tells]
    answers = [(_code(a.question), escape(a.promise)) for a in canvas.answers]
    asks = [(_link(name, names),) for name in canvas.asks]
    head = ("event", "subscription", "behind", "waiting", "parked", "what it does about it")
    return (
        _section("Tells", ("event", "about", "what happened"), tells)
        + _section("Listens to", head, _hears(card))
        + _section("Answers", ("question", "promise"), answers)
        + _section("Asks", ("module",), asks)
    )


def _inside(card: ModuleCard) -> str:
    canvas = card.canvas
    does = [(_code(d.command), escape(d.reach), escape(d.what)) for d in canvas.does]
    routes = [(r.method, _code(r.path), escape(r.operation), _code(r.needs)) for r in canvas.routes]
    tables = [(_code(t.table), escape(", ".join(t.columns))) for t in canvas.tables]
    settings = [(_code(s.variable), _code(s.default)) for s in canvas.settings]
    return (
        _section("Does", ("command", "", "what is done"), does)
        + _section("Routes", ("", "path", "operation", "needs"), routes)
        + _section("Owns", ("table", "columns"), tables)
        + _section("Reads from the environment", ("variable", "default"), settings)
    )


def _hears(card: ModuleCard) -> Rows:
    return [
        (
            _code(heard.type),
            escape(heard.subscription),
            *counts(card, heard.subscription),
            escape(heard.what),
        )
        for heard in card.canvas.hears
    ]


def counts(card: ModuleCard, subscription: str) -> tuple[str, str, str]:
    """How far it is behind, how much of it waits, and how much is parked; a question mark for what
    nobody can say. A subscription to several events has one cursor, and so one standing."""
    for each in card.standing.subscriptions:
        if each.name == f"{card.canvas.name}.{subscription}":
            return shown_behind(each), f"{each.waiting:,}", f"{each.parked:,}"
    return "?", "?", "?"


def _section(title: str, head: Sequence[str], rows: Rows) -> str:
    if not (shown := list(rows)):
        return ""
    summary = f"<summary>{title} <span>{len(shown)}</span></summary>"
    return f"<details>{summary}{_table(head, shown)}</details>"


def _table(head: Sequence[str], rows: Rows) -> str:
    heading = "".join(f"<th scope=col>{each}</th>" for each in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table>"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>" if text else ""


def _schema(event_type: str) -> str:
    return f'<a href="/_schemas/{escape(event_type)}">{_code(event_type)}</a>'


def _links(wanted: Iterable[str], names: Sequence[str]) -> str:
    return ", ".join(_link(name, names) for name in sorted(wanted))


def _link(name: str, names: Sequence[str]) -> str:
    """A module that another host serves has no place on this page."""
    return f'<a href="#{escape(name)}">{escape(name)}</a>' if name in names else escape(name)
