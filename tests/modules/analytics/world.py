"""A tenant whose data hypothesis made, told to the store and written to parquet files beside it."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from martech.kernel.bus import Bus
from martech.kernel.host import Host
from martech.modules.delivery.contract import MessageSent
from martech.modules.profiles.contract import ActivityRecorded, ProfilesMerged
from tests.modules.analytics.counting import did, fact, tell, who

PEOPLE = [f"p{n}" for n in range(6)]
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Cairo",
]
CATEGORIES = ["MEAT", "FRUIT", 'a "b" c', "x.y", "", None, 5, True]
# Both changes of the clock of the north and of the south lie in it.
FIRST, LAST = datetime.fromisoformat("2024-03-01"), datetime.fromisoformat("2024-11-30")
moments = st.datetimes(FIRST, LAST, timezones=st.just(UTC))
amounts = st.one_of(
    st.decimals(-1000, 1000, places=2).map(float),
    st.integers(-(10**6), 10**6),
    st.sampled_from([None, "12", True, 0.1, 1e-7, 1e13]),
)
lines = st.lists(
    st.fixed_dictionaries({}, optional={"category": st.sampled_from(CATEGORIES), "total": amounts}),
    max_size=3,
)
baskets = st.fixed_dictionaries(
    {},
    optional={
        "revenue": amounts,
        "channel": st.sampled_from(["web", "shop", None, ["a"], 5]),
        "products": st.one_of(lines, lines.filter(bool).map(lambda many: many[0])),
    },
)
events = st.lists(st.tuples(st.sampled_from(PEOPLE), moments, baskets), min_size=1, max_size=25)
merges = st.lists(st.sampled_from(PEOPLE), max_size=3, unique=True)
touches = st.lists(
    st.tuples(st.sampled_from(PEOPLE), moments, st.sampled_from(["campaign:1", "campaign:2"])),
    max_size=8,
    unique_by=(lambda t: t[1], lambda t: (t[0], t[2])),
)
MANY = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class World:
    """What hypothesis made, told to the store as one tenant's, and written to parquet."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host, self.folder = host, folder
        self.number = 0
        self.tenant = UUID(int=0)

    async def tell(self, did_: Sequence[Any], merged: Sequence[str], sent: Sequence[Any]) -> None:
        self.number += 1
        self.tenant = UUID(int=self.number)
        activities = [
            did(n, person, properties=basket, at=at) for n, (person, at, basket) in enumerate(did_)
        ]
        half = len(activities) // 2
        told = [fact("sent", person, source, at=at)[1] for person, at, source in sent]
        joined = list(pairwise(merged))
        kept = [ProfilesMerged(merged=who(a), kept=who(b)) for a, b in joined]
        await tell(self.host, "profiles", ActivityRecorded(items=activities[:half]), *kept,
                   ActivityRecorded(items=activities[half:]), tenant=self.tenant)  # fmt: skip
        await tell(self.host, "delivery", MessageSent(items=told), tenant=self.tenant)  # type: ignore[arg-type]
        await Bus(self.host).settle()
        leads = dict(joined)
        self._write("events", [
            {"id": n, "who": _end(leads, person), "moment": _plain(at), "props": json.dumps(basket)}
            for n, (person, at, basket) in enumerate(did_)
        ])  # fmt: skip
        self._write("sent", [
            {"who": _end(leads, person), "moment": _plain(at), "source": source, "message": n}
            for n, (person, at, source) in enumerate(sent)
        ])  # fmt: skip

    def sql(self, query: str, **bound: object) -> list[tuple[Any, ...]]:
        """Plain SQL over the parquet files ``events`` and ``sent``."""
        database = duckdb.connect()
        for name in ("events", "sent"):
            query = query.replace(f"@{name}", f"read_parquet('{self.folder / name}.parquet')")
        return database.execute(query, bound).fetchall()

    async def ask(self, use: Callable[[Any], Any]) -> Any:
        async with self.host.unit("analytics", self.tenant, write=False) as service:
            return await use(service)

    def _write(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        (self.folder / "rows.json").write_text(json.dumps(rows))
        types = {
            "events": "{id: 'INT', who: 'VARCHAR', moment: 'TIMESTAMP', props: 'VARCHAR'}",
            "sent": "{who: 'VARCHAR', moment: 'TIMESTAMP', source: 'VARCHAR', message: 'INT'}",
        }[name]
        duckdb.connect().execute(
            f"COPY (SELECT * FROM read_json('{self.folder / 'rows.json'}', columns = {types})) "
            f"TO '{self.folder / name}.parquet'"
        )


def _end(leads: Mapping[str, str], person: str) -> str:
    while person in leads:
        person = leads[person]
    return person


def _plain(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(" ")
