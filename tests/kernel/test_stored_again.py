"""What a store could not digest and is tried again has its effect there once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from martech.kernel import failpoints, parked
from martech.kernel.bus import Bus
from martech.kernel.clock import TestClock
from martech.kernel.host import Host
from martech.modules.analytics.service import AnalyticsService
from martech.modules.profiles.contract import Activity, ActivityRecorded
from tests.modules.analytics.counting import MODULES, did, fresh, settings, tell

pytestmark = pytest.mark.anyio


async def test_what_was_kept_and_parked_all_the_same_is_kept_once(
    kind: str, tmp_path: Path
) -> None:
    """Its last attempt came as far as the store; the row could not be taken out behind it."""
    refusing = [True]

    class Moody(AnalyticsService):
        def keep_activities(self, activities: Sequence[Activity]) -> None:
            super().keep_activities(activities)
            if refusing:
                raise ValueError("not today")

    clock = TestClock(datetime(2026, 12, 1, 12, tzinfo=UTC))
    modules = [replace(m, service=Moody) if m.name == "analytics" else m for m in MODULES]
    async with Host(modules, settings(fresh(kind, tmp_path), tmp_path), clock=clock) as host:
        await tell(host, "profiles", ActivityRecorded(items=[did(1, "ada")]))
        await Bus(host, patience=2).settle()
        refusing.clear()
        clock.move(timedelta(minutes=1))
        failpoints.arm("store.after_once=error@1")
        try:
            await Bus(host, patience=2).settle()
        finally:
            failpoints.arm("")
        (one,) = await parked.parked(host)
        assert (one.attempts, one.error) == (2, "Planned: store.after_once was told to fail.")
        await parked.retry(host, "analytics", one.id)
        await Bus(host).settle()
        assert await parked.parked(host) == []
    with duckdb.connect(str(tmp_path / "events.duckdb")) as store:
        assert store.execute("SELECT message_id FROM events").fetchall() == [("m1",)]
        assert store.execute("SELECT count(*) FROM marks").fetchall() == [(0,)]
