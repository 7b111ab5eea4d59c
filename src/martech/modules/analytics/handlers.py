"""What analytics does when something happens elsewhere. Names of handlers are cursors."""

from collections.abc import Sequence

from martech.kernel.module import on
from martech.modules.analytics.service import AnalyticsService
from martech.modules.delivery.contract import (
    Bounce,
    Click,
    LinkClicked,
    MessageBounced,
    MessageOpened,
    MessageSent,
    Open,
    OptOut,
    SentMessage,
    Unsubscribed,
)
from martech.modules.profiles.contract import Activity, ActivityRecorded, ProfilesMerged


@on(ActivityRecorded, ProfilesMerged)
async def keep_what_people_did(
    facts: Sequence[Activity | ProfilesMerged], service: AnalyticsService
) -> None:
    """Keep it under the id it came with, and who turned out to be whom."""
    service.keep_activities([fact for fact in facts if isinstance(fact, Activity)])
    service.keep_merges([fact for fact in facts if isinstance(fact, ProfilesMerged)])


@on(MessageSent, MessageBounced, MessageOpened, LinkClicked, Unsubscribed)
async def keep_what_became_of_messages(
    facts: Sequence[SentMessage | Bounce | Open | Click | OptOut], service: AnalyticsService
) -> None:
    """Keep every fact; questions count messages."""
    service.keep_messages(facts)
