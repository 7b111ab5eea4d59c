"""What people did, as it is told and as it is shown in pages."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec

from martech.kernel.errors import Invalid
from martech.modules.profiles.contract import Activity, Identity
from martech.modules.tracking.contract import TrackedEvent

P = TypeVar("P")

ABOUT_TRAITS = ("identify", "group")  # their body is traits, that of all others properties

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Micros = Annotated[int, msgspec.Meta(ge=-62_135_596_800_000_000, le=253_402_300_799_999_999)]

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def activity(item: TrackedEvent, profile_id: UUID, identity: Identity) -> Activity:
    """*item*, as others hear of it."""
    return Activity(
        profile_id=profile_id,
        identity=identity,
        message_id=item.message_id,
        type=item.type,
        event=item.event,
        timestamp=item.timestamp,
        received_at=item.received_at,
        group_id=item.group_id,
        properties=item.properties,
        traits=item.traits,
        context=item.context,
    )


def cursor(*place: UUID | int | datetime) -> str:
    """Where a page ended, as text that nobody needs to understand."""
    plain = [(p - EPOCH) // MICROSECOND if isinstance(p, datetime) else p for p in place]
    return msgspec.json.encode(plain).hex()


def place(after: str, kind: type[P]) -> P:
    """The place that `cursor` wrote down. Raises `Invalid`."""
    try:
        return msgspec.json.decode(bytes.fromhex(after), type=kind)
    except (ValueError, msgspec.MsgspecError):
        raise Invalid("This is no page's `next`. Leave it out to begin.", field="after") from None


def moment_and_number(after: str) -> tuple[datetime, int]:
    """A place in a timeline."""
    micros, number = place(after, tuple[_Micros, Number])
    return EPOCH + micros * MICROSECOND, number


def sparse(body: msgspec.Raw, names: Sequence[str] | None) -> msgspec.Raw:
    """*body* with only these of its members; the others are not even decoded."""
    if names is None:
        return body
    members = _members.decode(body) if names else {}
    return msgspec.Raw(msgspec.json.encode({n: members[n] for n in names if n in members}))
