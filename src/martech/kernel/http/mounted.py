"""A router that belongs to one application."""

from typing import Any

from litestar import Router


class Mounted(Router):
    def __deepcopy__(self, memo: dict[int, Any]) -> "Mounted":
        """Itself. Litestar copies what it is given, in case it is given to others too; copying
        every handler with its signature would be two thirds of the time an application takes."""
        return self
