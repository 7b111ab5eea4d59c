"""What every module's schema holds besides the module's own tables."""

from sqlalchemy import MetaData

from martech.kernel.audit import audit_table
from martech.kernel.columns import bare_metadata
from martech.kernel.commands import commands_table
from martech.kernel.cursors import cursors_table, parked_table
from martech.kernel.idempotency import idempotency_table
from martech.kernel.outbox import outbox_table


def module_metadata(name: str) -> MetaData:
    """A module's own schema, with the kernel's tables already in it."""
    metadata = bare_metadata(name)
    for add in (
        outbox_table,
        cursors_table,
        parked_table,
        commands_table,
        idempotency_table,
        audit_table,
    ):
        add(metadata)
    return metadata
