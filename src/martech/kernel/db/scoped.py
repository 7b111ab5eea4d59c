"""A connection to PostgreSQL that says whose rows may be seen as it begins a transaction.

A message of its own would be one more way to the server and back for each unit of work.
"""

from typing import Any

from asyncpg import Connection

from martech.kernel.tenancy import SETTING, Scope


class ScopedConnection(Connection):  # type: ignore[misc]  # asyncpg has no types
    scope: Scope | None = None
    """Of the next transaction: a tenant's id, or all."""

    async def execute(self, query: str, *arguments: object, **options: Any) -> str:
        if query.startswith("BEGIN") and self.scope is not None:
            query += f" SELECT set_config('{SETTING}', '{self.scope}', true);"
        status: str = await super().execute(query, *arguments, **options)
        return status
