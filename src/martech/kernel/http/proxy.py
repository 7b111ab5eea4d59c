"""The way from the world to several hosts: which paths lead to which, as nginx reads it.

Rendered from what the modules promise in openapi.json, so that one may leave without anybody's
address changing. What only hosts ask of each other (`/_ports`, `/_outbox`, `/_replays`) leads
nowhere.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from martech.kernel.errors import Error, NotFound, TooLarge, Unavailable
from martech.kernel.http.requests import LARGEST_BODY
from martech.kernel.settings import SettingsError, shown

REST = "rest"
"""The name of the host that serves whatever is not elsewhere."""

_PARAMETER = re.compile(r"\{[^}]*\}")

PAGE = """\
# Which paths lead to which host; for nginx' conf.d. Written by:
#   {command}
{upstreams}
server {{
    listen {listen};

    # what hosts ask of each other goes from host to host
    location ~ ^/_(ports|outbox|replays)(/|$) {{
        default_type application/problem+json;
        return 404 '{closed}';
    }}
{locations}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_next_upstream off;
    # streams say every 15 s that they are there, and ask not to be buffered
    proxy_read_timeout 75s;

    error_page 413 @large;
    location @large {{
        internal;
        default_type application/problem+json;
        return 413 '{large}';
    }}
    error_page 502 504 =503 @away;
    location @away {{
        internal;
        default_type application/problem+json;
        add_header Retry-After 1 always;
        return 503 '{away}';
    }}
}}
"""

UPSTREAM = """
upstream {name} {{
    server {place};
    keepalive 64;
}}
"""

LOCATION = """
    location {pattern} {{
        client_max_body_size {limit};
        proxy_pass {scheme}://{name};
    }}
"""


class Way(NamedTuple):
    """What leads to a module, and the largest body that any of its routes takes."""

    patterns: Sequence[str]
    limit: int


def rendered(
    promised: Mapping[str, Mapping[str, Any]], peers: Mapping[str, str], rest: str, listen: str
) -> str:
    """nginx' server for the modules whose OpenAPI documents are *promised*: those of *peers* are at
    their URLs, the others at *rest*. Raises `SettingsError`."""
    for name in peers:
        if name not in promised:
            raise SettingsError(
                f"{name} is not installed here and there is no contracts/{name}/openapi.json, so "
                "nobody knows its paths. Render this where it is."
            )
    ways = {name: _way(name, document) for name, document in promised.items()}
    others = max([LARGEST_BODY, *(way.limit for name, way in ways.items() if name not in peers)])
    led = [(name, ways[name]) for name in peers] + [(REST, Way(["/"], others))]
    places = {**{name: _place(url) for name, url in peers.items()}, REST: _place(rest)}
    said = ",".join(f"{name}={url}" for name, url in peers.items())
    return PAGE.format(
        command=f"martech nginx --peers {said} --rest {rest} --listen {listen}",
        listen=listen,
        upstreams="".join(
            UPSTREAM.format(name=name, place=place) for name, (_, place) in places.items()
        ),
        locations="".join(
            LOCATION.format(pattern=pattern, limit=way.limit, scheme=places[name][0], name=name)
            for name, way in led
            for pattern in way.patterns
        ),
        closed=_problem(NotFound("There is nothing here for the public.")),
        large=_problem(TooLarge("The body is larger than this takes. Send it in parts.")),
        away=_problem(Unavailable("Whoever answers this is away. Try again shortly.")),
    )


def _way(name: str, document: Mapping[str, Any]) -> Way:
    own, limit, patterns = f"/{name}/", LARGEST_BODY, [f"/{name}/"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            limit = max(limit, operation.get("requestBody", {}).get("x-max-bytes", 0))
        if not path.startswith(own):
            patterns.append(f"~ ^{_regex(path)}/?$")
    return Way(patterns, limit)


def _regex(path: str) -> str:
    """What *path* looks like with something in the place of each parameter."""
    return "[^/]+".join(map(re.escape, _PARAMETER.split(path)))


def _place(url: str) -> tuple[str, str]:
    """Scheme and place of a host."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
        raise SettingsError(
            f"{shown(url)!r} must be http://HOST:PORT, or https://HOST:PORT, and no more."
        )
    return parts.scheme, parts.netloc


def _problem(error: Error) -> str:
    said = {
        "type": f"/problems/{error.slug()}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
    }
    return msgspec.json.encode(said).decode()
