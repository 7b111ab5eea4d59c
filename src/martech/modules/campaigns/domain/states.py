"""Which state follows which. Pure.

    draft ◀──────────▶ scheduled              schedule; unschedule, its time was missed
      │                    │    └─ cancel ──▶ cancelled
      └──────── launch ────┴─ its time has come
                   ▼
               launching ── sealed ──▶ sending ── nothing is open ──▶ completed
                   │  ▲                 ▲  │
                   │  └──── resume ─────┤  │
                   └─────▶ paused ──────┘◀─┘  pause
                              │
    launching, sending, paused ── cancel, here or in delivery ──▶ cancelled
    launching, paused ── no such segment or content, or a
                        segment that means something else now ──▶ failed
    launching ── by its schedule, and too late ──▶ draft; failed, if delivery may have a send of it
    failed ── change ──▶ draft, schedule ──▶ scheduled, launch ──▶ launching

*Launching* is: the audience is being read. The first messages leave meanwhile, and *sending* is:
the audience is complete. Whatever was paused goes on with what it was at. An order that comes too
late to stop anything gives way to the fact: cancelled after the last message went out, it is
completed.

What *failed* is mended and launched again. Each launch has a send of its own in delivery, and
nobody gets a mail twice: the sends share a source and an occasion, and so one key in its ledger.
"""

from collections.abc import Mapping
from typing import Final, Literal

from martech.kernel.errors import Conflict, Error, Unavailable
from martech.modules.campaigns.contract import Status

Order = Literal[
    "change",
    "change_rate",
    "delete",
    "schedule",
    "unschedule",
    "launch",
    "pause",
    "resume",
    "cancel",
]
Fact = Literal["missed", "sealed", "completed", "cancelled", "failed"]

UNDER_WAY: Final[frozenset[Status]] = frozenset({"launching", "sending", "paused"})
OVER: Final[frozenset[Status]] = frozenset({"completed", "cancelled", "failed"})

ORDERS: Final[Mapping[Order, Mapping[Status, Status]]] = {
    "change": {"draft": "draft", "scheduled": "scheduled", "failed": "draft"},
    "change_rate": {status: status for status in UNDER_WAY},
    "delete": {"draft": "draft", "scheduled": "scheduled", "failed": "failed"},
    "schedule": {"draft": "scheduled", "scheduled": "scheduled", "failed": "scheduled"},
    "unschedule": {"draft": "draft", "scheduled": "draft"},
    "launch": {"draft": "launching", "scheduled": "launching", "failed": "launching"},
    "pause": {"launching": "paused", "sending": "paused", "paused": "paused"},
    "resume": {"paused": "launching", "launching": "launching", "sending": "sending"},
    "cancel": {
        "scheduled": "cancelled",
        "launching": "cancelled",
        "sending": "cancelled",
        "paused": "cancelled",
        "cancelled": "cancelled",
    },
}
FACTS: Final[Mapping[Fact, Mapping[Status, Status]]] = {
    "missed": {"scheduled": "draft", "launching": "draft"},
    "sealed": {"launching": "sending"},
    "completed": dict.fromkeys(("launching", "sending", "paused", "cancelled"), "completed"),
    "cancelled": dict.fromkeys(("launching", "sending", "paused"), "cancelled"),
    "failed": dict.fromkeys(("launching", "paused"), "failed"),
}

_DONE: Final[Mapping[Order, str]] = {
    "change": "changed",
    "change_rate": "changed",
    "delete": "deleted",
    "schedule": "scheduled",
    "unschedule": "unscheduled",
    "launch": "launched",
    "pause": "paused",
    "resume": "resumed",
    "cancel": "cancelled",
}
_CURE: Final[Mapping[Status, str]] = {
    "draft": "Launch it, schedule it, or delete it.",
    "scheduled": "Unschedule it, or launch it now.",
    "launching": "Pause it, or cancel it.",
    "sending": "Pause it, or cancel it.",
    "paused": "Resume it, or cancel it.",
    "completed": "Make another campaign.",
    "cancelled": "Make another campaign.",
    "failed": "Mend what its problem says, and launch it again.",
}
_AGAIN: Final[Mapping[Status, str]] = {
    "launching": "resume",
    "sending": "resume",
    "paused": "pause",
    "cancelled": "cancel",
}
"""The order that has a status carried out once more."""


def obey(order: Order, status: Status, *, sealed: bool = False) -> Status:
    """The state after *order*; *sealed* is whether the audience is complete. What is so already
    stays so. Raises `Conflict` for what cannot be done, with what can."""
    after = ORDERS[order].get(status)
    if after is None:
        but = ", but for its rate" if order == "change" and status in UNDER_WAY else ""
        raise Conflict(f"What is {status} cannot be {_DONE[order]}{but}. {_CURE[status]}")
    return learn("sealed", after) if sealed else after


def problem(status: Status, error: Exception) -> str:
    """What to tell people of a step that went wrong. Whatever is away is waited for; everything
    else is tried a few times and then set aside, until somebody asks for it again."""
    if isinstance(error, Unavailable):
        return error.detail
    unknown = f"Something went wrong here ({type(error).__name__}); the log says what."
    what = error.detail if isinstance(error, Error) else unknown
    again = _AGAIN.get(status, "launch")
    return f"{what} It is tried again for some minutes. If this stays, {again} the campaign again."


def learn(fact: Fact, status: Status) -> Status:
    """The state after *fact*; the same when it comes late and changes nothing."""
    return FACTS[fact].get(status, status)
