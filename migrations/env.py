"""Alembic comes here to ask where to work; `martech.kernel.migrate` has already decided."""

from alembic import context

context.configure(**context.config.attributes["configure"])
context.run_migrations()
