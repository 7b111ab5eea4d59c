"""What a module promises, derived from its manifest: for people a page, for programs contracts/."""

from martech.kernel.published.canvas import Canvas, canvas
from martech.kernel.published.files import files
from martech.kernel.published.golden import golden

__all__ = ["Canvas", "canvas", "files", "golden"]
