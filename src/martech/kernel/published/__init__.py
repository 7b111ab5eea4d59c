"""What a module promises, derived from its manifest: for people a page, for programs contracts/."""

from martech.kernel.published.asyncapi import asyncapi
from martech.kernel.published.canvas import Canvas, Route, canvas
from martech.kernel.published.openapi import openapi_of
from martech.kernel.published.page import overview, page

__all__ = ["Canvas", "Route", "asyncapi", "canvas", "openapi_of", "overview", "page"]
