"""What people did, as it is told and as it is shown in pages."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from martech.modules.profiles.contract import Activity, Identity
from martech.modules.tracking.contract import TrackedEvent

ABOUT_TRAITS = ("identify", "group")  # their body is traits, that of all others properties

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

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


def sparse(body: msgspec.Raw, names: Sequence[str] | None) -> msgspec.Raw:
    """*body* with only these of its members; the others are not even decoded."""
    if names is None:
        return body
    members = _members.decode(body) if names else {}
    return msgspec.Raw(msgspec.json.encode({n: members[n] for n in names if n in members}))
