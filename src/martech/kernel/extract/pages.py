"""What is written for a module that lives alone: its README, compose file and CI.

The skeletons are texts with ``{{name}}`` in them; what is filled in comes from the manifest.
"""

from martech.kernel.extract.sources import neighbours
from martech.kernel.files import beside
from martech.kernel.module import Module
from martech.kernel.published.canvas import Canvas, canvas

PROGRAMS = (".ci/run",)
"""What is to be started by its name."""

SKELETONS = {
    "README.md": "README.md",
    "compose.yaml": "compose.yaml",
    ".ci/run": "ci-run",
    ".github/workflows/ci.yml": "ci.yml",
}
MONOLITH = "http://host.docker.internal:8000"


def files(module: Module) -> dict[str, str]:
    """Path -> text."""
    glance = canvas(module)
    around = neighbours(module)
    words = {
        "name": module.name,
        "NAME": module.name.upper(),
        "purpose": glance.purpose,
        "peers": ",".join(f"{name}=http://127.0.0.1:8000" for name in around),
        "peers_outside": ",".join(f"{name}={MONOLITH}" for name in around),
        "neighbours": "\n".join(_neighbour(name, glance) for name in around),
        "settings": "".join(f"\n| `{name}` | {default} |" for name, default in glance.settings),
        "route": _route(glance),
    }
    return {
        path: _filled(beside(f"{__package__}.skeleton", file), words)
        for path, file in SKELETONS.items()
    }


def _neighbour(name: str, glance: Canvas) -> str:
    """A line of the table of neighbours: why it is one."""
    heard = sorted({event for _, event, _ in glance.hears if event.startswith(f"{name}.")})
    why = [f"hears {', '.join(f'`{event}`' for event in heard)}"] if heard else []
    why += ["asks its port"] if name in glance.asks else []
    return f"| {name} | {'; '.join(why) or 'hears of keys: who may ask for what'} |"


def _route(glance: Canvas) -> str:
    """One that a README can show: something to be listed."""
    plain = [
        route.path for route in glance.routes if route.method == "GET" and "{" not in route.path
    ]
    return next(iter(plain), "/health/ready")


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"{{{{{word}}}}}", value)
    return text
