"""The tables of the DuckDB file.

events      what people did               ┐ with the id that the person had when it happened
messages    what became of messages       ┘
merges      `told` as profiles said it; `kept` is who answers for `merged` today, however many
            merges later
cursors     how far a subscription has heard: (position, item) as in the kernel's table
steps       the positions at which a batch began with a whole event: the places to rewind to
marks       items that were set aside and are done
version     of this schema; another one is not touched

`subscription` and `label` say where a row came from: the step of the batch that wrote it. Rows of a
step or a later one are exactly what was heard since.
"""

from typing import Final

VERSION: Final = 1

TABLES: Final = (
    "CREATE TABLE version (number INTEGER NOT NULL)",
    f"INSERT INTO version VALUES ({VERSION})",
    """
    CREATE TABLE events (
        tenant UUID NOT NULL,
        profile UUID NOT NULL,
        identity_kind VARCHAR NOT NULL,
        identity VARCHAR NOT NULL,
        type VARCHAR NOT NULL,
        event VARCHAR,
        timestamp TIMESTAMP NOT NULL,
        received_at TIMESTAMP NOT NULL,
        message_id VARCHAR NOT NULL,
        properties JSON NOT NULL,
        subscription VARCHAR NOT NULL,
        label BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE messages (
        tenant UUID NOT NULL,
        kind VARCHAR NOT NULL,
        message_id UUID NOT NULL,
        send_id UUID NOT NULL,
        source VARCHAR NOT NULL,
        occasion VARCHAR NOT NULL,
        step VARCHAR NOT NULL,
        channel VARCHAR NOT NULL,
        profile UUID NOT NULL,
        happened_at TIMESTAMP NOT NULL,
        url VARCHAR,
        subscription VARCHAR NOT NULL,
        label BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE merges (
        tenant UUID NOT NULL,
        merged UUID NOT NULL,
        told UUID NOT NULL,
        kept UUID NOT NULL,
        subscription VARCHAR NOT NULL,
        label BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE cursors (
        subscription VARCHAR NOT NULL,
        position BIGINT NOT NULL,
        item INTEGER NOT NULL,
        label BIGINT NOT NULL
    )
    """,
    "CREATE TABLE steps (subscription VARCHAR NOT NULL, label BIGINT NOT NULL)",
    """
    CREATE TABLE marks (
        subscription VARCHAR NOT NULL, position BIGINT NOT NULL, item INTEGER NOT NULL
    )
    """,
)

ROWS_OF: Final = ("events", "messages", "merges")
"""The tables whose rows come from subscriptions."""
