"""The errors that may cross a module boundary, in process or over HTTP.

* Error              500
  x Malformed        400  the request cannot be read
  x Unauthorized     401  no key, or one that does not hold
  x Forbidden        403  the key is good, its scopes are not enough
  x NotFound         404
  x Conflict         409  the request is fine, the state is not
  x TooLarge         413
  x Invalid          422  the request can be read, a field is wrong
  x TooMany          429  slow down
  x Unavailable      503  a port or a database could not answer; callers must cope
    x Timeout        504

``detail`` says what is wrong and what to do about it; it is shown to the caller.
"""

from collections.abc import Iterator
from typing import ClassVar


class Error(Exception):
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong here"

    def __init__(
        self, detail: str, *, field: str | None = None, retry_after: int | None = None
    ) -> None:
        """*field* is the wrong field's path (``traits.email``); *retry_after* is in seconds."""
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.retry_after = retry_after

    @classmethod
    def slug(cls) -> str:
        """The last part of the problem's ``type``: ``not-found``."""
        name = cls.__name__
        return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


class Malformed(Error):
    status = 400
    title = "The request cannot be read"


class Unauthorized(Error):
    status = 401
    title = "A valid key is needed"


class Forbidden(Error):
    status = 403
    title = "The key does not allow this"


class NotFound(Error):
    status = 404
    title = "There is no such thing"


class Conflict(Error):
    status = 409
    title = "The state does not allow this"


class TooLarge(Error):
    status = 413
    title = "The request is too large"


class Invalid(Error):
    status = 422
    title = "A value is not valid"


class TooMany(Error):
    status = 429
    title = "Too many requests"


class Unavailable(Error):
    status = 503
    title = "Not available at the moment"


class Timeout(Unavailable):
    status = 504
    title = "No answer in time"


def every(cls: type[Error] = Error) -> Iterator[type[Error]]:
    """The whole tree, from the root."""
    yield cls
    for child in cls.__subclasses__():
        yield from every(child)


def from_status(status: int, detail: str) -> Error:
    """The error that a peer's answer stands for; what we have no word for is an `Error`."""
    for cls in every():
        if cls.status == status:
            return cls(detail)
    return Error(detail)
