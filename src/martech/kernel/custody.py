"""What every module must be able to do with what it holds about one person.

Custody is the kernel's, because the wish of a person travels against the arrows between
modules: the module where a request begins runs one command for each module, and repeats it until
each has given its receipt.
"""

from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec


class Identity(msgspec.Struct, frozen=True):
    """One way a person is known: ``("email", "ada@example.com")``."""

    kind: str
    value: str


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One person, under every name a module may know them by.

    A module that was told of an older profile, or only ever saw an address, must still find its
    rows: so the ids that were merged into *profile* and all identities come along.
    """

    tenant: UUID
    profile: UUID
    merged: tuple[UUID, ...] = ()
    identities: tuple[Identity, ...] = ()


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a module holds about a person, by table, as plain JSON."""

    module: str
    tables: dict[str, list[dict[str, object]]]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A module's word that nothing it holds names the person any more."""

    module: str
    erased: dict[str, int]
    """Rows removed or rewritten, by table; 0 where there was nothing."""

    at: datetime


class Custody(Protocol):
    """Implemented by the service of a module that holds personal data."""

    async def export(self, subject: Subject) -> Export:
        """All that is held about *subject*; changes nothing."""
        ...

    async def erase(self, subject: Subject) -> Receipt:
        """Forget *subject* for good, in this transaction.

        Outbox, parked, commands and idempotency rows are rewritten in place and keep position
        and id. Hashes of the identities stay, so that late data cannot bring the person back.
        Erasing twice is harmless and gives a receipt again.
        """
        ...
