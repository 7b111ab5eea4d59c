"""What is running, and how to call it, told to people and to programs."""

from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.enums import MediaType

from martech.kernel.http import docs
from martech.kernel.http.front import Front
from martech.kernel.messages import View
from martech.kernel.standing import ModuleStanding, Standing, SubscriptionStanding

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
    metrics: str = "/metrics"
    modules: Sequence[ModuleStanding]


def routes(
    standing: Standing,
    described: Callable[[], dict[str, Any]],
    version: str,
    origin: str,
    front: Front | None,
) -> Router:
    """*origin* is where the world reaches us. Without a *front* `/` answers everybody as it
    answers a program."""
    document = cache(lambda: msgspec.json.encode(described()))
    reference = cache(lambda: docs.render(described(), origin).encode())

    @get("/", opt={"public": True})
    async def landing(request: Request[Any, Any, Any]) -> Response[Any]:
        modules = await standing.look()
        best = request.accept.best_match(["text/html", "application/json"])
        if front is None or best == "application/json":
            return Response(Landing(version=version, modules=modules), headers=VARIES)
        return front.page(request, escape(version), standing_html(modules))

    @get("/docs", opt={"public": True}, sync_to_thread=False)
    def reference_page() -> Response[bytes]:
        return Response(reference(), media_type=MediaType.HTML, headers=SEALED)

    @get("/openapi.json", opt={"public": True}, sync_to_thread=False)
    def schema() -> Response[bytes]:
        return Response(document(), media_type="application/vnd.oai.openapi+json")

    return Router(
        path="/", route_handlers=[landing, reference_page, schema], include_in_schema=False
    )


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
    behind = sum(s.behind for s in subscriptions)
    return f"{behind:,} items on their way." if behind else "Everything told has been heard."


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
        f"<td>{subscription.behind:,}</td><td>{subscription.waiting:,}</td>"
        f"<td{parked}>{subscription.parked:,}</td></tr>"
    )
