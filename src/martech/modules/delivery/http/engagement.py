"""Where the links of our mails lead. Who comes here is a person with a browser, or a mail program
for them (RFC 8058), and has no key: the token in the link is all they show.

    GET  /c/…  a link was followed       302 to where it leads, which is stored
    GET  /o/…  the picture was loaded
    GET  /u/…  a page with one button    changes nothing: programs look at links before people do
    POST /u/…  no more mails

HEAD counts nothing.
"""

from base64 import b64decode

from litestar import Controller, Request, get, head, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from martech.kernel.errors import NotFound
from martech.kernel.files import beside
from martech.modules.delivery.domain.links import opened
from martech.modules.delivery.service.engaging import Reception

PUBLIC = {"public": True}
PICTURE = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
PRIVATE = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
}
SEALED = {
    **PRIVATE,
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
}
ASK, DONE, UNKNOWN = (
    beside(__package__, f"{name}.html").encode() for name in ("unsubscribe", "done", "unknown")
)

Desk = NamedDependency[Reception]
Anyone = Request[object, object, State]

PAGE = {200: ResponseSpec(str, media_type="text/html", generate_examples=False)}
IMAGE = {200: ResponseSpec(bytes, media_type="image/gif", generate_examples=False)}
ONWARD = {302: ResponseSpec(None, description="Where the link leads.")}


class LinkController(Controller):
    path = "/c/{token:str}"

    @get(operation_id="followLink", opt=PUBLIC, status_code=302, responses=ONWARD)
    async def follow(self, request: Anyone, token: FromPath[str], reception: Desk) -> ASGIResponse:
        return _onward(request, await reception.take(opened("c", token), counts=True))

    @head(operation_id="lookAtLink", opt=PUBLIC, status_code=302, responses=ONWARD)
    async def look(self, request: Anyone, token: FromPath[str], reception: Desk) -> ASGIResponse:
        return _onward(request, await reception.take(opened("c", token), counts=False))


class PictureController(Controller):
    path = "/o/{token:str}"

    @get(operation_id="loadPicture", opt=PUBLIC, responses=IMAGE)
    async def load(self, request: Anyone, token: FromPath[str], reception: Desk) -> ASGIResponse:
        return _picture(request, await reception.take(opened("o", token), counts=True))

    @head(operation_id="lookAtPicture", opt=PUBLIC, responses=IMAGE)
    async def look(self, request: Anyone, token: FromPath[str], reception: Desk) -> ASGIResponse:
        return _picture(request, await reception.take(opened("o", token), counts=False))


class UnsubscribeController(Controller):
    """The body of the POST is not read: RFC 8058 fixes it, and the button has nothing to say."""

    path = "/u/{token:str}"

    @get(operation_id="askToUnsubscribe", opt=PUBLIC, responses=PAGE)
    async def ask(self, request: Anyone, token: FromPath[str], reception: Desk) -> ASGIResponse:
        return _page(request, ASK, await reception.take(opened("u", token), counts=False))

    @head(operation_id="lookAtUnsubscribe", opt=PUBLIC, responses=PAGE)
    async def look(self, request: Anyone, token: FromPath[str], reception: Desk) -> ASGIResponse:
        return _page(request, ASK, await reception.take(opened("u", token), counts=False))

    @post(operation_id="unsubscribe", opt=PUBLIC, status_code=200, responses=PAGE)
    async def out(self, request: Anyone, token: FromPath[str], reception: Desk) -> ASGIResponse:
        return _page(request, DONE, await reception.take(opened("u", token), counts=True))


def _onward(request: Anyone, url: str | None) -> ASGIResponse:
    if url is None:
        return _unknown(request)
    return ASGIResponse(
        status_code=302,
        headers={**PRIVATE, "location": url},
        is_head_response=request.method == "HEAD",
    )


def _picture(request: Anyone, known: str | None) -> ASGIResponse:
    if known is None:
        return _unknown(request)
    return ASGIResponse(
        body=PICTURE,
        media_type="image/gif",
        headers=PRIVATE,
        is_head_response=request.method == "HEAD",
    )


def _page(request: Anyone, page: bytes, known: str | None) -> ASGIResponse:
    if known is None:
        return _unknown(request)
    return _html(request, page, 200)


def _unknown(request: Anyone) -> ASGIResponse:
    """A page for people; programs get the problem that every route has."""
    if "text/html" not in request.headers.get("accept", ""):
        raise NotFound("This link is not one of ours, or it is damaged. Copy the whole of it.")
    return _html(request, UNKNOWN, 404)


def _html(request: Anyone, page: bytes, status: int) -> ASGIResponse:
    return ASGIResponse(
        body=page,
        media_type="text/html",
        status_code=status,
        headers=SEALED,
        is_head_response=request.method == "HEAD",
    )
