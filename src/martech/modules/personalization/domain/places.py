"""Where a page ended, as text that nobody needs to understand."""

from uuid import UUID

from martech.kernel.errors import Invalid


def cursor(last: UUID) -> str:
    return last.hex


def place(after: str) -> UUID:
    """The id that `cursor` wrote down. Raises `Invalid`."""
    try:
        return UUID(after)
    except ValueError:
        raise Invalid("This is no page's `next`. Leave it out to begin.", field="after") from None
