"""Things to be done: one row a command, in the schema of the module that will do it.

    recorded ──▶ due ──▶ sent ──▶ leased ──▶ done
                  ▲                 │  └───▶ parked    after the last attempt, for a person to see
                  └── backoff ──────┘

A lease that runs out is an attempt too: a command that kills whoever carries it out would else kill
them all, for ever. (Unless it wrote something first: a send goes on after any number of kills.)
The row is the record; a broker only carries its id and may forget it. A timer is a command with
a later `due_at`. A lease carries a fence, one higher each time: whoever was taken over holds an
old fence and can neither settle nor commit anything.

rows     the table, and how a command comes into it
turns    whose go out next
leases   who may carry out which, and what became of it
"""

from martech.kernel.commands.leases import (
    ATTEMPTS,
    KEPT,
    LEASE,
    LOST,
    RESEND,
    Commands,
    Lease,
    Stale,
    backoff,
)
from martech.kernel.commands.rows import Enqueued, Unit, commands_table, record, take_over

__all__ = [
    "ATTEMPTS",
    "KEPT",
    "LEASE",
    "LOST",
    "RESEND",
    "Commands",
    "Enqueued",
    "Lease",
    "Stale",
    "Unit",
    "backoff",
    "commands_table",
    "record",
    "take_over",
]
