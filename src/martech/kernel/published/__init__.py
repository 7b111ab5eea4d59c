"""What a module promises, derived from its manifest: for people a page, for programs contracts/."""

from martech.kernel.published.canvas import Canvas, canvas
from martech.kernel.published.files import files
from martech.kernel.published.golden import golden
from martech.kernel.published.openapi import openapi_of

__all__ = ["Canvas", "canvas", "files", "golden", "openapi_of"]
