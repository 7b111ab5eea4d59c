"""Where a page of a list ended, as text that nobody needs to understand.

What comes back is anybody's: a place says by its type what the columns it is compared with can
hold, and whatever is no such place is refused.
"""

from datetime import datetime
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy.sql.selectable import GenerativeSelect

from martech.kernel.clock import reachable
from martech.kernel.errors import Invalid

P = TypeVar("P", bound=tuple[object, ...])
S = TypeVar("S", bound=GenerativeSelect)

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Small = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Word = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]  # PostgreSQL holds no NUL


def cursor(*place: UUID | int | str | datetime) -> str:
    """*place* as the ``next`` of a page: what its last row is ordered by."""
    return msgspec.json.encode(place).hex()


def place(after: str, kind: type[P]) -> P:
    """What `cursor` wrote down, as *kind*, a tuple type. Raises `Invalid`."""
    try:
        found = msgspec.json.decode(bytes.fromhex(after), type=kind)
        for part in found:
            if isinstance(part, datetime):
                reachable(part, "after")
    except (ValueError, Invalid, msgspec.MsgspecError):
        raise Invalid("This is no page's `next`. Leave it out to begin.", field="after") from None
    return found


def last_looked_at(near: S, most: int) -> S:
    """The last row of *near*, which is in order, that a page looks at which looks through *most* of
    them, if there are so many. It goes on from there, whatever it has found."""
    return near.offset(most - 1).limit(1)
