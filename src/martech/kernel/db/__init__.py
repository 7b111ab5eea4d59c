"""One database a module, one pool a module, one transaction a unit of work."""

from martech.kernel.db.database import Database
from martech.kernel.db.schema import module_metadata
from martech.kernel.db.transaction import Transaction, Unit

__all__ = ["Database", "Transaction", "Unit", "module_metadata"]
