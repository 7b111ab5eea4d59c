"""Rows and what they mean."""

from collections.abc import Mapping
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, RowMapping, select, update

from martech.kernel.db import Transaction
from martech.kernel.errors import NotFound
from martech.modules.campaigns import domain
from martech.modules.campaigns.contract import Campaign, Counts
from martech.modules.campaigns.domain.steering import MOVING, Advance, Standing
from martech.modules.campaigns.tables import campaigns

PLAIN = tuple(name for name in Campaign.__struct_fields__ if name not in ("problem", "send_id"))
TOLD = ("send_status", "send_problem", "launch", "ordered", "settled", "problem")
SHOWN = tuple(campaigns.c[name] for name in (*PLAIN, *TOLD))
HELD = "The send is paused in delivery. Resume the campaign."

OF_A_LAUNCH = ("scheduled_at", "expected", "counts", "send_status", "send_problem")
"""What is no longer so when a failed campaign is taken up again."""

Launches = Mapping[int, Counts]
"""What launches that failed came to, by their numbers."""

_counted = msgspec.json.Decoder(Counts)
_launches = msgspec.json.Decoder(dict[int, Counts])
noted = msgspec.json.encode


class Rows:
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    def _mine(self, campaign_id: UUID) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return campaigns.c.tenant == self.tx.tenant, campaigns.c.id == campaign_id

    async def _row(self, campaign_id: UUID) -> RowMapping:
        """Nobody else changes it until the commit. Raises `NotFound`."""
        row = await self._there(campaign_id)
        if row is None:
            raise not_found(campaign_id)
        return row

    async def _there(self, campaign_id: UUID) -> RowMapping | None:
        mine = select(campaigns).where(*self._mine(campaign_id)).with_for_update()
        return (await self.tx.execute(mine)).mappings().one_or_none()

    async def _change(self, campaign_id: UUID, **values: object) -> RowMapping:
        """The row as it is then."""
        mine = update(campaigns).where(*self._mine(campaign_id))
        changed = mine.values(updated_at=self.tx.now, **values).returning(campaigns)
        return (await self.tx.execute(changed)).mappings().one()

    async def _move(self, before: RowMapping, now: Standing, **more: object) -> RowMapping:
        """From *before* to *now*; the row as it is then."""
        values: dict[str, object] = {name: getattr(now, name) for name in MOVING}
        if before["status"] == "failed" != now.status:
            values |= dict.fromkeys((*OF_A_LAUNCH, "problem"))
            if before["counts"] is not None:
                values["earlier"] = noted(earlier(before) | {before["launch"]: counts(before)})
        return await self._change(now.campaign_id, **(values | more))

    def _advance(self, campaign_id: UUID) -> None:
        command = Advance(campaign_id=campaign_id)
        self.tx.enqueue(command, key=command.key)


def campaign(row: RowMapping) -> Campaign:
    shown = {name: row[name] for name in PLAIN}
    send_id = domain.send_of(row["id"], row["launch"])
    return Campaign(**shown, problem=problem(row), send_id=send_id)


def standing(row: RowMapping) -> Standing:
    told = {name: row[name] for name in Standing._fields if name != "campaign_id"}
    return Standing(campaign_id=row["id"], **told)


def counts(row: RowMapping) -> Counts:
    """Those of the last launch."""
    return Counts() if row["counts"] is None else _counted.decode(row["counts"])


def earlier(row: RowMapping) -> dict[int, Counts]:
    return {} if row["earlier"] is None else _launches.decode(row["earlier"])


def problem(row: RowMapping) -> str | None:
    """Ours first: while there is one, delivery has not even been reached. Of one that is completed
    delivery may say that its mails did not leave."""
    ours: str | None = row["problem"]
    theirs: str | None = row["send_problem"]
    if ours is not None or row["status"] in ("cancelled", "failed"):
        return ours
    settled = row["status"] == "sending" and row["settled"] == row["ordered"]
    return theirs or (HELD if settled and row["send_status"] == "paused" else None)


def not_found(campaign_id: UUID) -> NotFound:
    return NotFound(f"There is no campaign {campaign_id}.")
