"""Where campaigns are kept: one row each, and with it all that its status says."""

from sqlalchemy import BigInteger, Column, Float, Integer, LargeBinary, String, Table

from martech.kernel.columns import Id, UtcDateTime, tenant_column
from martech.kernel.db import module_metadata

metadata = module_metadata("campaigns")

campaigns = Table(
    "campaigns",
    metadata,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),  # begins with its time: the order of making
    Column("name", String, nullable=False),
    Column("segment_id", Id, nullable=False),
    Column("content_id", Id, nullable=False),
    Column("content_version", Integer),
    Column("rate", Float),
    Column("status", String, nullable=False),
    Column("scheduled_at", UtcDateTime),
    Column("due", UtcDateTime),  # its launch, while nobody was reached and nobody has ordered it
    Column("created_at", UtcDateTime, nullable=False),
    Column("launched_at", UtcDateTime),
    Column("completed_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("problem", String),  # of ours: a neighbour that is away, or why it failed
    Column("launch", Integer, nullable=False, server_default="0"),  # which send of its is meant
    Column("stage", String, nullable=False),
    Column("segment_version", Integer),  # by which its people are picked
    Column("page", String),  # where the next page of the segment begins
    Column("began", BigInteger),  # its position when its reading began, and when it had been read:
    Column("ended", BigInteger),  # who came between the two may stand where the pages had passed
    Column("expected", BigInteger),
    Column("ordered", Integer, nullable=False),  # the number of the last order
    Column("settled", Integer, nullable=False),  # and of the last one that delivery follows
    Column("going", Integer, nullable=False, server_default="0"),  # the last one to go on
    Column("send_status", String),  # as delivery last told, likewise the next two
    Column("send_problem", String),
    Column("counts", LargeBinary),  # contract.Counts as JSON
    Column("earlier", LargeBinary),  # those of launches that failed, by their numbers
)
