"""What goes wrong again and again is said once, and once that it is over."""

import logging


class Trouble:
    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._why = ""

    def begins(self, what: str, why: str) -> None:
        """*what* fails, for the reason *why*; said again only when the reason is another."""
        if why != self._why:
            self._log.warning("%s: %s", what, why)
        self._why = why

    def ends(self, what: str) -> None:
        """All is well; said if it was not before."""
        if self._why:
            self._log.info("%s", what)
        self._why = ""
