"""Where messages are kept.

    sends 1 ──< messages        the ledger: nobody gets two of them
          1 ──< excluded        who was asked for and gets none
    messages >── 1 recipients   our own copy of people
    sends    >── 1 contents     and of what is published,
    contents >── 1 withdrawals  and taken back

Who changes a message of a send holds the send's row first: so its numbers are exact, a pause holds
from its commit on, and nobody waits for each other in a circle. But what a cancelled send has left
for good is taken over by a later one without that: nobody else changes it, and those that follow
the same send lock its messages in the order of their ids.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
)

from martech.kernel.columns import Id, UtcDateTime, tenant_column
from martech.kernel.db import module_metadata

metadata = module_metadata("delivery")

sends = Table(
    "sends",
    metadata,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),
    Column("source", String, nullable=False),
    Column("occasion", String, nullable=False),
    Column("step", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("name", String, nullable=False),
    Column("content_id", Id, nullable=False),
    Column("content_version", Integer, nullable=False),
    Column("rate", Float),
    Column("used_until", UtcDateTime),  # up to when the rate is used up
    Column("status", String, nullable=False),
    Column("sealed", Boolean, nullable=False),
    Column("problem", String),  # what kind it is of: server, content, printed, refused
    Column("problem_text", String),
    Column("problem_at", UtcDateTime),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),
    *(
        Column(name, BigInteger, nullable=False)
        for name in (
            *("audience", "pending", "deferred", "ambiguous", "delivered", "bounced", "failed"),
            *("suppressed", "cancelled", "unreachable", "duplicate"),
            *("opened", "clicked", "unsubscribed"),
        )
    ),
    Index(None, "tenant", "opened_at", "id"),
    Index(None, "tenant", "source", "occasion"),
)

messages = Table(
    "messages",
    metadata,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),
    Column("send_id", Id, nullable=False),
    Column(
        "profile_id", Id, nullable=False
    ),  # as it was asked for; who that is now, recipients say
    Column("source", String, nullable=False),
    Column("occasion", String, nullable=False),
    Column("step", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("address", String, nullable=False),
    Column("state", String, nullable=False),
    Column("due_at", UtcDateTime),  # of those that may be claimed: pending and deferred
    Column("lane", SmallInteger),  # of those that are claimed: who holds them; see ASIDE
    Column("claimed_at", UtcDateTime),
    Column("attempts", SmallInteger, nullable=False),
    Column("settled_at", UtcDateTime),
    Column("code", SmallInteger),
    Column("reason", String),
    Column("opened_at", UtcDateTime),
    Column("clicked_at", UtcDateTime),
    Column("unsubscribed_at", UtcDateTime),
    UniqueConstraint(
        *("tenant", "source", "occasion", "step", "channel", "address"), name="uq_messages_ledger"
    ),
    Index(None, "tenant", "send_id", "id"),
    Index(None, "tenant", "profile_id", "send_id"),
)
for _name, _columns, _only in (
    ("due", ("send_id", "due_at"), messages.c.due_at.is_not(None)),
    ("held", ("send_id", "lane"), messages.c.lane.is_not(None)),
    ("ambiguous", ("send_id", "id"), messages.c.state == "ambiguous"),
):
    Index(
        f"ix_messages_{_name}",
        messages.c.tenant,
        *(messages.c[column] for column in _columns),
        sqlite_where=_only,
        postgresql_where=_only,
    )

excluded = Table(
    "excluded",
    metadata,
    tenant_column(primary_key=True),
    Column("send_id", Id, primary_key=True),
    Column("profile_id", Id, primary_key=True),
    Column("reason", String, nullable=False),  # unreachable, duplicate
)

recipients = Table(
    "recipients",
    metadata,
    tenant_column(primary_key=True),
    Column("profile_id", Id, primary_key=True),
    Column("traits", LargeBinary, nullable=False),  # name -> JSON
    Column("address", String),  # normalised
    Column("identity_kind", String),  # user_id or anonymous_id: by which tracking knows them
    Column("identity_value", String),
    Column("consent", String),  # granted, denied, or nothing was ever said
    Column("consent_at", UtcDateTime),  # when that was said, where it is known
    Column("merged_into", Id),
    Index(None, "tenant", "address"),
)
_merged = recipients.c.merged_into.is_not(None)
Index(
    "ix_recipients_merged_into",
    recipients.c.tenant,
    recipients.c.merged_into,
    sqlite_where=_merged,
    postgresql_where=_merged,
)

contents = Table(
    "contents",
    metadata,
    tenant_column(primary_key=True),
    Column("content_id", Id, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("html", String, nullable=False),
    Column("text", String, nullable=False),
    Column("published_at", UtcDateTime, nullable=False),
)

withdrawals = Table(  # of a content, the highest version that was withdrawn, and all before it
    "withdrawals",
    metadata,
    tenant_column(primary_key=True),
    Column("content_id", Id, primary_key=True),
    Column("version", Integer, nullable=False),
)

suppressions = Table(
    "suppressions",
    metadata,
    tenant_column(primary_key=True),
    Column("address", String, primary_key=True),
    Column("reason", String, primary_key=True),  # unsubscribed, bounced, manual
    Column("since", UtcDateTime, nullable=False),
    Column("source", String, nullable=False),
    Column("profile_id", Id),  # who unsubscribed, as the mail was addressed
)
_left = suppressions.c.profile_id.is_not(None)
Index(
    "ix_suppressions_profile_id",
    suppressions.c.tenant,
    suppressions.c.profile_id,
    sqlite_where=_left,
    postgresql_where=_left,
)

links = Table(  # a click is sent on to one of these and to nowhere else
    "links",
    metadata,
    tenant_column(primary_key=True),
    Column("id", String, primary_key=True),  # of its URL
    Column("url", String, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    tenant_column(primary_key=True),
    Column("key", LargeBinary, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
)

engagements = Table(  # facts that tracking (and profiles) are still to be told
    "engagements",
    metadata,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),
    Column("kind", String, nullable=False),  # delivered, bounced, opened, clicked, unsubscribed
    Column("message_id", Id, nullable=False),
    Column("send_id", Id, nullable=False),
    Column("profile_id", Id, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("detail", String),  # the URL of a click, the reason of a bounce, machine
)

servers = Table(  # the mail server, as the last attempts found it
    "servers",
    metadata,
    tenant_column(primary_key=True),
    Column("server", String, nullable=False),
    Column("reachable", Boolean, nullable=False),
    Column("error", String),
    Column("since", UtcDateTime, nullable=False),
)
