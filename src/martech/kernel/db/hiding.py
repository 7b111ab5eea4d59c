"""What an error of a database says: never a value, for that may name somebody.

Errors are logged and stored. SQLAlchemy hides what was sent (`hide_parameters`); what a server or a
driver repeats of it is cut off here.
"""

import re
from typing import Final

from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import StatementError

LONGEST = 2000  # characters of an error that is written down

_VALUE: Final = re.compile(
    r"(query argument \$\d+|invalid input syntax for type [\w ]+):.*|\nDETAIL:.*", re.DOTALL
)


def hide(context: ExceptionContext) -> None:
    """On PostgreSQL, before the error is raised. The driver's own, which it comes of, says all of
    it again, and is left out."""
    original, known = context.original_exception, context.sqlalchemy_exception
    if known is None:
        return
    for error in (original, known):
        error.args = tuple(_bare(each) for each in error.args)
    original.__cause__ = None


def _bare(said: object) -> object:
    return _VALUE.sub(r"\1", said) if isinstance(said, str) else said


def said(error: Exception) -> str:
    """*error* as it is written down: its class and what it says; of a database's, its class, its
    code, and what was wrong."""
    name = type(error).__name__
    if not isinstance(error, StatementError):
        return f"{name}: {error}"[:LONGEST]
    orig = error.orig
    code = getattr(orig, "sqlstate", None) or getattr(orig, "sqlite_errorname", None)
    wrong = str(orig or error).partition("\n")[0]
    return f"{name} {code}: {wrong}"[:LONGEST] if code else f"{name}: {wrong}"[:LONGEST]
