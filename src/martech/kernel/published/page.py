"""A module's page in docs/modules/, and the picture of them all."""

from collections.abc import Iterable, Sequence

import msgspec

from martech.kernel.files import camel
from martech.kernel.messages import Folded, fact_type, wire_name
from martech.kernel.published.canvas import Canvas

NOTE = "<!-- Written by `make contracts` from the manifest; edit the module, not this page. -->"


def page(canvas: Canvas) -> str:
    """Markdown."""
    parts = [NOTE, f"# {canvas.name}", canvas.purpose]
    parts += _section("Owns", ("table", "columns"), _owns(canvas))
    parts += _section("Tells", ("event", "subject", "what happened"), _tells(canvas))
    parts += _section(
        "Listens to",
        ("event", "subscription", "what it does about it"),
        [(f"`{event}`", f"`{name}`", text) for name, event, text in canvas.hears],
    )
    parts += _section(
        "Answers", ("question", "promise"), [(f"`{call}`", text) for call, text in canvas.answers]
    )
    parts += _section("Asks", ("module",), [(f"[{name}]({name}.md)",) for name in canvas.asks])
    parts += _section(
        "Does",
        ("command", "", "what is done"),
        [(f"`{name}`", kind, text) for name, kind, text in canvas.does],
    )
    parts += _section(
        "Routes",
        ("", "path", "operation", "needs"),
        [(r.method, f"`{r.path}`", r.operation, f"`{r.needs}`") for r in canvas.routes],
    )
    if canvas.hears or canvas.does:
        parts.append(
            f"What is parked: `/{canvas.name}/v1/parked`, with the scope `{canvas.name}:operate` "
            "([operating](../operating.md#what-is-parked))."
        )
    parts += _section(
        "Reads from the environment",
        ("variable", "default"),
        [(f"`{name}`", f"`{default}`" if default else "") for name, default in canvas.settings],
    )
    return "\n\n".join(parts) + "\n"


def overview(canvases: Iterable[Canvas]) -> str:
    """docs/modules.md: who tells whom, who asks whom."""
    known = list(canvases)
    arrows = sorted(
        {
            f"    {event.split('.')[0]} -- {_word(event)} --> {canvas.name}"
            for canvas in known
            for _, event, _ in canvas.hears
        }
        | {f"    {canvas.name} -. asks .-> {name}" for canvas in known for name in canvas.asks}
    )
    nodes = [f"    {canvas.name}" for canvas in known]
    picture = "\n".join(["```mermaid", "flowchart LR", *nodes, *arrows, "```"])
    rows = [(f"[{c.name}](modules/{c.name}.md)", c.purpose) for c in known]
    return "\n\n".join([NOTE, "# The modules", picture, _table(("module", "is"), rows)]) + "\n"


def _owns(canvas: Canvas) -> list[tuple[str, str]]:
    return [(f"`{name}`", ", ".join(columns)) for name, columns in canvas.tables]


def _tells(canvas: Canvas) -> list[tuple[str, str, str]]:
    return [
        (
            f"`{wire_name(event)}`" + (" (folded)" if issubclass(event, Folded) else ""),
            f"`{subject}`" if (subject := getattr(fact_type(event), "SUBJECT", "")) else "",
            text or ", ".join(f.name for f in msgspec.structs.fields(event)),
        )
        for event, text in canvas.tells
    ]


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"## {title}", _table(head, rows)] if rows else []


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )


def _word(event_type: str) -> str:
    """``tracking.events_tracked.v1`` is EventsTracked in the picture."""
    return camel(event_type.split(".")[1])
