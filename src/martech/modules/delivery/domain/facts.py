"""Facts about messages, as other modules hear them."""

from uuid import UUID

import msgspec

from martech.modules.delivery.contract import Bounce, Click, MessageFact, Open, OptOut, SentMessage
from martech.modules.delivery.domain.settling import Settled


def sent(fact: MessageFact, content_id: UUID, content_version: int) -> SentMessage:
    said = msgspec.structs.asdict(fact)
    return SentMessage(**said, content_id=content_id, content_version=content_version)


def bounce(fact: MessageFact, settled: Settled) -> Bounce:
    said = msgspec.structs.asdict(fact)
    return Bounce(**said, code=settled.code or 0, reason=settled.reason or "")


def opening(fact: MessageFact, *, machine: bool) -> Open:
    return Open(**msgspec.structs.asdict(fact), machine=machine)


def click(fact: MessageFact, url: str) -> Click:
    return Click(**msgspec.structs.asdict(fact), url=url)


def opt_out(fact: MessageFact) -> OptOut:
    return OptOut(**msgspec.structs.asdict(fact))
