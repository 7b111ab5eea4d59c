"""What is running, and how to call it, told to people and to programs."""

from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.enums import MediaType
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from martech.kernel.errors import NotFound
from martech.kernel.http import docs
from martech.kernel.http.front import Front
from martech.kernel.http.modules import ModuleCard, ModuleCards, render
from martech.kernel.http.mounted import Mounted
from martech.kernel.messages import View, wire_name
from martech.kernel.module import Module
from martech.kernel.published.asyncapi import whole
from martech.kernel.published.canvas import canvas, events
from martech.kernel.published.schemas import schema_of, schema_uri
from martech.kernel.published.shown import shown
from martech.kernel.standing import (
    ModuleStanding,
    Standing,
    SubscriptionStanding,
    shown_behind,
    unheard,
)

SEALED = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


VARIES = {"vary": "accept"}


class Landing(View, frozen=True, kw_only=True):
    name: str = "martech"
    version: str
    docs: str = "/docs"
    openapi: str = "/openapi.json"
    asyncapi: str = "/asyncapi.json"
    canvases: str = "/_modules"
    metrics: str = "/metrics"
    modules: Sequence[ModuleStanding]


def routes(
    standing: Standing,
    modules: Sequence[Module],
    described: Callable[[], dict[str, Any]],
    version: str,
    origin: str,
    front: Front | None,
) -> Router:
    """*origin* is where the world reaches us. Without a *front* `/` answers everybody as it
    answers a program."""

    @get("/", opt={"public": True})
    async def landing(request: Request[Any, Any, Any]) -> Response[Any]:
        stand = await standing.look()
        if front is None or not _is_person(request):
            return Response(Landing(version=version, modules=stand), headers=VARIES)
        return front.page(request, escape(version), standing_html(stand))

    @get("/_modules", opt={"public": True})
    async def canvases(request: Request[Any, Any, Any]) -> Response[Any]:
        stand = {each.name: each for each in await standing.look()}
        cards = [
            ModuleCard(canvas=shown(canvas(module)), standing=stand[module.name])
            for module in modules
        ]
        if not _is_person(request):
            return Response(ModuleCards(modules=cards), headers=VARIES)
        page = render(cards, version).encode()
        return Response(page, media_type=MediaType.HTML, headers=SEALED | VARIES)

    return Mounted(
        path="/",
        route_handlers=[
            landing,
            canvases,
            *_of_the_api(described, origin),
            *_of_events(modules, version, origin),
        ],
        include_in_schema=False,
    )


def _of_the_api(described: Callable[[], dict[str, Any]], origin: str) -> Sequence[HTTPRouteHandler]:
    """Made when they are first asked for, which takes half a second: in a thread, lest everybody
    else waits for it."""
    document = cache(lambda: msgspec.json.encode(described()))
    reference = cache(lambda: docs.render(described(), origin).encode())

    @get("/docs", opt={"public": True}, sync_to_thread=True)
    def reference_page() -> Response[bytes]:
        return Response(reference(), media_type=MediaType.HTML, headers=SEALED)

    @get("/openapi.json", opt={"public": True}, sync_to_thread=True)
    def rest() -> Response[bytes]:
        return Response(document(), media_type="application/vnd.oai.openapi+json")

    return [reference_page, rest]


def _of_events(modules: Sequence[Module], version: str, origin: str) -> Sequence[HTTPRouteHandler]:
    told = cache(lambda: msgspec.json.encode(whole(modules, version)))
    types = {wire_name(event): event for module in modules for event in events(module)}

    @get("/asyncapi.json", opt={"public": True}, sync_to_thread=True)
    def news() -> Response[bytes]:
        return Response(told(), media_type="application/vnd.aai.asyncapi+json;version=3.0.0")

    @get("/_schemas/{event_type:str}", opt={"public": True}, sync_to_thread=False)
    def schema(event_type: FromPath[str]) -> Response[bytes]:
        if event_type not in types:
            known = ", ".join(types)
            raise NotFound(f"No {event_type[:100]!r} is told here. The types are {known}.")
        text = schema_of(types[event_type], schema_uri(origin, event_type))
        return Response(msgspec.json.encode(text), media_type="application/schema+json")

    return [news, schema]


def _is_person(request: Request[Any, Any, Any]) -> bool:
    """Whether the page is wanted: programs say that they take JSON."""
    return request.accept.best_match(["text/html", "application/json"]) != "application/json"


def standing_html(modules: Sequence[ModuleStanding]) -> str:
    """How things stand, for people without script."""
    shown = "".join(_module(module) for module in modules)
    return f"<p>{escape(_verdict(modules))}</p>{shown}"


def _verdict(modules: Sequence[ModuleStanding]) -> str:
    away = [module.name for module in modules if not module.available]
    if away:
        return f"The database of {' and '.join(away)} does not answer."
    subscriptions = [s for module in modules for s in module.subscriptions]
    parked = sum(s.parked for s in subscriptions) + sum(module.parked for module in modules)
    if parked:
        return f"{parked:,} parked: see martech parked list."
    if silent := unheard(subscriptions):
        return f"What {' and '.join(silent)} told cannot be heard: its host does not answer."
    behind = sum(s.behind or 0 for s in subscriptions)
    if behind:
        return f"{behind:,} event{'' if behind == 1 else 's'} still to process."
    return "Everything told has been heard."


def _module(module: ModuleStanding) -> str:
    name = escape(module.name)
    if not module.available:
        return f'<section><h2>{name}</h2><p class="bad">The database does not answer.</p></section>'
    facts = [f"{module.told:,} event{'' if module.told == 1 else 's'} told"]
    if module.due:
        facts.append(f"{module.due:,} commands due")
    if module.parked:
        facts.append(f'<b class="bad">{module.parked:,} commands parked</b>')
    rows = "".join(_subscription(s) for s in module.subscriptions)
    heard = _TABLE.format(name=name, rows=rows) if rows else ""
    return f"<section><h2>{name}</h2><p>{' · '.join(facts)}</p>{heard}</section>"


_TABLE = (
    "<table><caption>What {name} listens to</caption><thead><tr><th scope=col>Subscription</th>"
    "<th scope=col>hears</th><th scope=col>behind</th><th scope=col>waiting</th>"
    "<th scope=col>parked</th></tr></thead><tbody>{rows}</tbody></table>"
)


def _subscription(subscription: SubscriptionStanding) -> str:
    name = escape(subscription.name.partition(".")[2].replace("_", " "))
    parked = " class=bad" if subscription.parked else ""
    return (
        f"<tr><th scope=row>{name}</th><td>{escape(subscription.source)}</td>"
        f"<td>{shown_behind(subscription)}</td><td>{subscription.waiting:,}</td>"
        f"<td{parked}>{subscription.parked:,}</td></tr>"
    )
