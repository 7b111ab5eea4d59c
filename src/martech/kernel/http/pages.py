"""The pages for people: what is running, and how to call it. No script, nothing from elsewhere."""

from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.enums import MediaType

from martech.kernel.http import docs
from martech.kernel.messages import View
from martech.kernel.standing import ModuleStanding, Standing, SubscriptionStanding

SEALED = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Landing(View, frozen=True, kw_only=True):
    name: str = "martech"
    version: str
    docs: str = "/docs"
    openapi: str = "/openapi.json"
    metrics: str = "/metrics"
    modules: Sequence[ModuleStanding]


def routes(standing: Standing, described: Callable[[], dict[str, Any]], version: str) -> Router:
    document = cache(lambda: msgspec.json.encode(described()))
    reference = cache(lambda: docs.render(described()).encode())

    @get("/", opt={"public": True})
    async def landing(request: Request[Any, Any, Any]) -> Response[Any]:
        modules = await standing.look()
        if request.accept.best_match(["text/html", "application/json"]) == "application/json":
            return Response(Landing(version=version, modules=modules))
        return _page(home(modules, version).encode())

    @get("/docs", opt={"public": True}, sync_to_thread=False)
    def reference_page() -> Response[bytes]:
        return _page(reference())

    @get("/openapi.json", opt={"public": True}, sync_to_thread=False)
    def schema() -> Response[bytes]:
        return Response(document(), media_type="application/vnd.oai.openapi+json")

    return Router(
        path="/", route_handlers=[landing, reference_page, schema], include_in_schema=False
    )


def _page(html: bytes) -> Response[bytes]:
    return Response(html, media_type=MediaType.HTML, headers=SEALED)


def template(name: str) -> Template:
    return Template(files("martech.kernel.http").joinpath(name).read_text(encoding="utf-8"))


def home(modules: Sequence[ModuleStanding], version: str) -> str:
    """The landing page."""
    return template("home.html").substitute(
        version=escape(version),
        verdict=escape(_verdict(modules)),
        modules="".join(_module(module) for module in modules),
    )


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
