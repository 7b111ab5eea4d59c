"""Where the links of our mails lead. Who comes here is a person with a browser, or a mail program
for them (RFC 8058), and has no key: the token in the link is all they show.

    GET  /c/…  a link was followed       302 to where it leads, which is stored
    GET  /o/…  the picture was loaded
    GET  /u/…  a page with one button    changes nothing: programs look at links before people do
    POST /u/…  no more mails

HEAD counts nothing, and neither does what stood in a preview, or is fetched before anybody asked
for it.
"""

from base64 import b64decode
from collections.abc import Mapping

from litestar import Controller, HttpMethod, Request, post, route
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import OperationIDCreator

from martech.kernel.errors import NotFound, TooMany
from martech.modules.delivery.domain.links import opened
from martech.modules.delivery.domain.visitors import is_ahead, loads_all
from martech.modules.delivery.http.pages import ASK, DONE, PREVIEW, UNKNOWN
from martech.modules.delivery.service.engaging import Reception

PUBLIC = {"public": True, "raises": [TooMany]}
LOOKING = [HttpMethod.GET, HttpMethod.HEAD]
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

Desk = NamedDependency[Reception]
Anyone = Request[object, object, State]

HTML = ResponseSpec(str, media_type="text/html", generate_examples=False)
NO_SUCH_LINK = {
    404: ResponseSpec(
        str, media_type="text/html", description="There is no such link.", generate_examples=False
    )
}
PAGE = {200: HTML, **NO_SUCH_LINK}
IMAGE = {
    200: ResponseSpec(bytes, media_type="image/gif", generate_examples=False),
    **NO_SUCH_LINK,
}
ONWARD = {
    302: ResponseSpec(None, description="Where the link leads."),
    200: ResponseSpec(
        str, media_type="text/html", description="It is a preview's.", generate_examples=False
    ),
    **NO_SUCH_LINK,
}


def named(get: str, head: str) -> OperationIDCreator:
    """An operation has one method."""
    return lambda handler, method, path: head if method == HttpMethod.HEAD else get


class LinkController(Controller):
    path = "/c/{token:str}"

    @route(
        http_method=LOOKING,
        operation_id=named("followLink", "lookAtLink"),
        opt=PUBLIC,
        status_code=302,
        responses=ONWARD,
    )
    async def follow(self, request: Anyone, token: FromPath[str], reception: Desk) -> ASGIResponse:
        shown = opened("c", token)
        if shown is not None and shown.previews:
            return _answer(request, PREVIEW, SEALED)
        url = await reception.take(shown, counts=_counts(request))
        if url is None:
            return _unknown(request)
        return _answer(request, b"", PRIVATE | {"location": url}, status=302)


class PictureController(Controller):
    path = "/o/{token:str}"

    @route(
        http_method=LOOKING,
        operation_id=named("loadPicture", "lookAtPicture"),
        opt=PUBLIC,
        responses=IMAGE,
    )
    async def load(self, request: Anyone, token: FromPath[str], reception: Desk) -> ASGIResponse:
        shown = opened("o", token)
        if shown is not None and shown.previews:
            return _answer(request, PICTURE, PRIVATE, media_type="image/gif")
        known = await reception.take(
            shown, counts=_counts(request), machine=loads_all(request.headers.get("user-agent"))
        )
        if known is None:
            return _unknown(request)
        return _answer(request, PICTURE, PRIVATE, media_type="image/gif")


class UnsubscribeController(Controller):
    path = "/u/{token:str}"

    @route(
        http_method=LOOKING,
        operation_id=named("askToUnsubscribe", "lookAtUnsubscribe"),
        opt=PUBLIC,
        responses=PAGE,
    )
    async def ask(self, request: Anyone, token: FromPath[str], reception: Desk) -> ASGIResponse:
        return await self._show(request, token, reception, ASK)

    @post(operation_id="unsubscribe", opt=PUBLIC, status_code=200, responses=PAGE)
    async def out(self, request: Anyone, token: FromPath[str], reception: Desk) -> ASGIResponse:
        """The body is not read: RFC 8058 fixes it, and the button has nothing to say."""
        return await self._show(request, token, reception, DONE)

    async def _show(
        self, request: Anyone, token: str, reception: Reception, page: bytes
    ) -> ASGIResponse:
        shown = opened("u", token)
        if shown is not None and shown.previews:
            return _answer(request, PREVIEW, SEALED)
        known = await reception.take(shown, counts=request.method == "POST")
        return _unknown(request) if known is None else _answer(request, page, SEALED)


def _counts(request: Anyone) -> bool:
    return request.method == "GET" and not is_ahead(request.headers)


def _unknown(request: Anyone) -> ASGIResponse:
    """A page for people; programs get the problem that every route has."""
    if "text/html" not in request.headers.get("accept", ""):
        raise NotFound("This link is not one of ours, or it is damaged. Copy the whole of it.")
    return _answer(request, UNKNOWN, SEALED, status=404)


def _answer(
    request: Anyone,
    body: bytes,
    headers: Mapping[str, str],
    *,
    status: int = 200,
    media_type: str = "text/html",
) -> ASGIResponse:
    look = request.method == "HEAD"
    return ASGIResponse(
        body=b"" if look else body,
        content_length=len(body),
        headers=dict(headers),
        status_code=status,
        media_type=media_type,
        is_head_response=look,
    )
