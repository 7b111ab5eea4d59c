"""A folder of static files that the composition root puts in front: the page at `/`.

The kernel knows nothing of what stands in it. `index.html` is a template with two fields:
``$version``, and ``$standing`` (what is running, as HTML, for whoever has no script). The other
files are served as they are under ``/<name of the folder>/``.
"""

from hashlib import sha256
from importlib.resources.abc import Traversable
from pathlib import PurePath
from string import Template
from typing import Any

from litestar import Request, Response, Router, get
from litestar.params import FromPath

from martech.kernel.errors import NotFound
from martech.kernel.http.mounted import Mounted

# litestar adds that texts are UTF-8
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
GUARDED = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""No script but our files, nothing from elsewhere, and no text that becomes HTML."""


class Front:
    """Read once; raises `KeyError` if a file is of no type that we know how to serve."""

    def __init__(self, folder: Traversable) -> None:
        self.name = folder.name
        files = {file.name: file for file in folder.iterdir() if file.is_file()}
        self._index = Template(files.pop("index.html").read_text(encoding="utf-8"))
        self._files = {
            name: (file.read_bytes(), TYPES[PurePath(name).suffix]) for name, file in files.items()
        }

    def page(self, request: Request[Any, Any, Any], version: str, standing: str) -> Response[bytes]:
        html = self._index.substitute(version=version, standing=standing)
        return _answer(request, html.encode(), TYPES[".html"])

    def routes(self) -> Router:
        @get(f"/{self.name}/{{name:str}}", opt={"public": True}, sync_to_thread=False)
        def file(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
            if name not in self._files:
                raise NotFound(f"There is no {name} here.")
            return _answer(request, *self._files[name])

        return Mounted(path="/", route_handlers=[file], include_in_schema=False)


def _answer(request: Request[Any, Any, Any], body: bytes, kind: str) -> Response[bytes]:
    """The same bytes are not sent twice: a browser asks again, and is told that nothing changed."""
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {**GUARDED, "cache-control": "no-cache", "etag": tag, "vary": "accept"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers)
    return Response(body, media_type=kind, headers=headers)
