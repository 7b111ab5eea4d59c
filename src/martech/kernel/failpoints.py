"""Places where a test may make this process fail on purpose; without the variable, nothing.

``MARTECH_FAILPOINTS="outbox.after_insert=kill@3,jobs.before_settle=sleep:500"``: each entry is
``name=action``, optionally ``@n`` for the n-th time the place is reached, and only then.

kill       end this process as `kill -9` would (always at one time; the first, if none is given)
interrupt  end it as Ctrl-C would
error      raise `Planned`
sleep:ms   hold up whoever came here, and nobody else
"""

import asyncio
import os
import signal
from typing import Final

import msgspec

NAMES: Final = frozenset(
    {
        "unit.before_write",
        "unit.before_commit",
        "unit.after_commit",
        "outbox.before_insert",
        "outbox.after_insert",
        "http.before_reply",
        "bus.before_handle",
        "bus.before_cursor",
        "store.before_commit",
        "store.after_commit",
        "store.after_once",
        "shadow.after_step",
        "shadow.before_commit",
        "shadow.after_commit",
        "relay.before_publish",
        "relay.after_publish",
        "jobs.after_lease",
        "jobs.before_settle",
        "jobs.after_settle",
        "moving.after_named",
        "moving.after_table",
        "moving.before_copied",
        "moving.after_copied",
        "moving.before_left",
        "moving.after_left",
    }
)
"""Every failpoint there is."""


class Planned(Exception):
    """The failure that a failpoint was told to raise."""


class FailpointError(Exception):
    """MARTECH_FAILPOINTS cannot be read; the message says where and what would be right."""


class Failpoint(msgspec.Struct):
    """What happens at one place, and how often it has been reached."""

    action: str
    milliseconds: int
    turn: int | None
    reached: int = 0

    async def strike(self, name: str) -> None:
        self.reached += 1
        if self.turn not in (None, self.reached):
            return
        match self.action:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "interrupt":
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(0)  # here it is heard
            case "error":
                raise Planned(f"{name} was told to fail.")
            case _:
                await asyncio.sleep(self.milliseconds / 1000)


_armed: dict[str, Failpoint] = {}  # of the process: a failure asks nobody for permission


def arm(plan: str) -> None:
    """Replace what is armed by *plan* (``Settings.failpoints``); an empty one disarms.

    Raises `FailpointError` if it cannot be read.
    """
    armed = dict(_entry(entry) for entry in plan.replace(" ", "").split(",") if entry)
    _armed.clear()
    _armed.update(armed)


async def reach(name: str) -> None:
    """The code has come to *name*. Does nothing unless the place is armed."""
    if _armed and (failpoint := _armed.get(name)):
        await failpoint.strike(name)


def _entry(entry: str) -> tuple[str, Failpoint]:
    name, _, rest = entry.partition("=")
    if name not in NAMES:
        raise FailpointError(f"{name!r} is no failpoint; there are {', '.join(sorted(NAMES))}.")
    action, _, turn = rest.partition("@")
    kind, _, milliseconds = action.partition(":")
    known = kind in ("kill", "interrupt", "error") and not milliseconds
    known = known or (kind == "sleep" and milliseconds.isdigit())
    if not known or (turn and not turn.isdigit()):
        raise FailpointError(
            f"{entry!r} must read name=kill|interrupt|error|sleep:ms, perhaps with @n."
        )
    return name, Failpoint(kind, int(milliseconds or 0), int(turn) if turn else None)
