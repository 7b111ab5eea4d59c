"""Whom a module listens to, for its own tests: stand-ins that tell what a test has them tell.

A stand-in is its neighbour's contract and a schema with an outbox, and nothing behind it. So a
module's tests need no more of its neighbours than the module does, and go with it when it is
extracted; the stories with real neighbours are told in tests/e2e.
"""

from functools import cache

from martech.kernel.db import Transaction, module_metadata
from martech.kernel.files import face
from martech.kernel.module import Module


class Silent:
    """Answers nothing: whoever asks it something has a stand-in of its own."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx


@cache
def neighbour(name: str) -> Module:
    return Module(port=face(name), service=Silent, tables=module_metadata(name))
