"""``/docs``: the OpenAPI document as one page that needs no script and no network."""

from collections.abc import Iterator
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

Schema = dict[str, Any]

METHODS = ("get", "post", "put", "patch", "delete")


def render(document: Schema, origin: str) -> str:
    """The page for an OpenAPI document, with examples that call *origin*."""
    groups: dict[str, list[str]] = {}
    refused = document.get("components", {}).get("responses", {})
    for path, method, operation in _operations(document):
        tag = (operation.get("tags") or ["other"])[0]
        groups.setdefault(tag, []).append(_operation(origin, path, method, operation, refused))
    shapes = document.get("components", {}).get("schemas", {})
    here = files("martech.kernel.http")
    page = Template(here.joinpath("docs.html").read_text(encoding="utf-8"))
    return page.substitute(
        style=here.joinpath("page.css").read_text(encoding="utf-8"),
        version=escape(document["info"]["version"]),
        description=_prose(document["info"].get("description", "")),
        contents="".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in groups),
        groups="".join(
            f'<section id="{escape(tag)}"><h2>{escape(tag)}</h2>{"".join(parts)}</section>'
            for tag, parts in groups.items()
        ),
        shapes="".join(_shape(name, shape) for name, shape in sorted(shapes.items())),
    )


def _operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, item in sorted(document["paths"].items()):
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _operation(origin: str, path: str, method: str, operation: Schema, refused: Schema) -> str:
    scope = operation.get("x-scope")
    needs = f"needs <code>{escape(scope)}</code>" if scope else "open"
    summary = escape(operation.get("summary", ""))
    shown = escape(path).replace("{", "<i>{").replace("}", "}</i>")
    return (
        f"<details><summary><b class={method}>{method.upper()}</b> <code>{shown}</code> "
        f"<span>{summary}</span></summary>{_prose(operation.get('description', ''))}"
        f"<p class=quiet>{needs}</p>{_parameters(operation)}{_body(operation)}"
        f"{_answers(operation, refused)}{_example(origin + path, method, operation)}</details>"
    )


def _parameters(operation: Schema) -> str:
    rows = "".join(
        f"<tr><th scope=row><code>{escape(p['name'])}</code></th><td>{p['in']}</td>"
        f"<td>{_type(p.get('schema', {}))}{'' if p.get('required') else ', optional'}</td>"
        f"<td>{escape(p.get('description', ''))}</td></tr>"
        for p in operation.get("parameters", [])
    )
    return f"<h3>Parameters</h3><table>{rows}</table>" if rows else ""


def _body(operation: Schema) -> str:
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        return f"<h3>Body</h3><p>{_type(content.get('schema', {}))} as {escape(media)}</p>"
    return ""


def _answers(operation: Schema, refused: Schema) -> str:
    """*refused* are those that several operations have in common."""
    responses = {
        status: refused[response["$ref"].rpartition("/")[2]] if "$ref" in response else response
        for status, response in operation.get("responses", {}).items()
    }
    rows = "".join(
        f"<tr><th scope=row>{escape(status)}</th><td>{escape(response.get('description', ''))}</td>"
        f"<td>{_content(response)}</td></tr>"
        for status, response in responses.items()
    )
    return f"<h3>Answers</h3><table>{rows}</table>"


def _content(response: Schema) -> str:
    kinds = [_type(c.get("schema", {})) for c in response.get("content", {}).values()]
    return kinds[0] if kinds else ""


def _example(url: str, method: str, operation: Schema) -> str:
    lines = [f"curl -X {method.upper()} {url}"]
    if operation.get("security"):
        lines.append("-H 'Authorization: Bearer mts_…'")
    if "requestBody" in operation:
        lines.append("-H 'Content-Type: application/json' -d '{…}'")
    return f"<pre>{escape(f' {chr(92)}{chr(10)}  '.join(lines))}</pre>"


def _shape(name: str, shape: Schema) -> str:
    wanted = shape.get("required", [])
    rows = "".join(
        f"<tr><th scope=row><code>{escape(field)}</code></th>"
        f"<td>{_type(kind)}{'' if field in wanted else ', optional'}</td>"
        f"<td>{escape(kind.get('description', ''))}</td></tr>"
        for field, kind in shape.get("properties", {}).items()
    )
    inside = f"<table>{rows}</table>" if rows else f"<p>{_type(shape)}</p>"
    said = _prose(shape.get("description", ""))
    title = f"<summary>{escape(name)}</summary>"
    return f'<details id="shape-{escape(name)}">{title}{said}{inside}</details>'


def _type(shape: Schema) -> str:
    """A schema in a few words, with links to the named ones."""
    if ref := shape.get("$ref"):
        name = escape(ref.rpartition("/")[2])
        return f'<a href="#shape-{name}">{name}</a>'
    if "anyOf" in shape:
        return " or ".join(_type(one) for one in shape["anyOf"])
    if "allOf" in shape:
        return _type(shape["allOf"][0])
    if "enum" in shape:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in shape["enum"])
    kind = shape.get("type", "anything")
    if kind == "array":
        return f"list of {_type(shape.get('items', {}))}"
    kinds = " or ".join(kind) if isinstance(kind, list) else kind
    form = f" ({escape(shape['format'])})" if "format" in shape else ""
    low, high = shape.get("minimum"), shape.get("maximum")
    bounds = f" {low:g} to {high:g}" if low is not None and high is not None else ""
    return escape(kinds) + form + bounds


def _prose(text: str) -> str:
    """Paragraphs, with code between back-ticks."""
    parts = escape(text).replace("``", "`").split("`")
    marked = "".join(f"<code>{p}</code>" if n % 2 else p for n, p in enumerate(parts))
    return "".join(f"<p>{p}</p>" for p in marked.split("\n\n") if p.strip())
