"""What personalization does later."""

from uuid import UUID

from martech.kernel.messages import Command


class Recompute(Command, frozen=True, kw_only=True):
    """Look at the next page of people, whether they belong to a segment; or, if it was deleted, let
    the next page of its members go."""

    segment_id: UUID

    @property
    def key(self) -> str:
        return str(self.segment_id)


class Expire(Command, frozen=True, kw_only=True):
    """Judge those anew for whom time alone may have changed something by now."""

    key: str = "expire"
