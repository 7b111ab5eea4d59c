"""Two stories become one: what the REST API says against what the outside world says."""

import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from demo import show
from demo.failure import Failure
from demo.figures import Figures, differences
from demo.state import Home

ONLY_TRACKED = ("received", "duplicate")
"""How often something was sent again cannot be read from the outside world."""
REPEATED = ("events Email Opened", "events Email Link Clicked")
"""A person whose program was killed while it waited for an answer does that one thing again."""
MIDNIGHT = "orders converted on "
"""Compared unless midnight passed since the mails: then only their sum is known."""
COUNTED_IN = ("accepted", "activities")


def check_sent(console: Console, figures: Figures, sent: int, runs: int) -> None:
    """An uninterrupted story: received is exactly what was sent, and what delivery told of mails.

    One that was killed and told again: received is at least that, every event is accepted once (the
    arithmetic knows how many there are), the rest are duplicates.
    """
    received, accepted, duplicate, rejected = (
        int(figures[name]) for name in ("received", "accepted", "duplicate", "rejected")
    )
    mails = sum(int(value) for name, value in figures.items() if name.startswith("events "))
    if received != accepted + duplicate + rejected:
        raise Failure(f"received {received:,} is not accepted + duplicate + rejected")
    told = sent + mails
    if runs == 1 and (received != told or duplicate):
        raise Failure(f"{told:,} were sent, but {received:,} received, {duplicate:,} duplicate")
    if received < told or accepted != told:
        raise Failure(f"{told:,} were sent, but {received:,} received, {accepted:,} accepted")
    how = "sent = received" if runs == 1 else f"told {runs} times: sent = accepted ≤ received"
    console.print(
        f"[green]✓[/] {how}: {sent:,} by the customer + {mails:,} of mails, {received:,}",
        highlight=False,
    )


def compare(console: Console, home: Home, parquet: Path, figures: Figures, runs: int) -> None:
    """Raises `Failure` when the outside world says otherwise, and shows both."""
    arithmetic = [sys.executable, "-m", "demo.arithmetic", "--parquet", str(parquet)]
    done = subprocess.run(
        [*arithmetic, "--home", str(home.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failure(f"The arithmetic does not come out: {done.stderr.strip()[-2000:]}")
    expected: Figures = json.loads(done.stdout)
    told = without_repeats(figures, expected, runs)
    known = {name for name in told if name not in ONLY_TRACKED}
    if not any(name.startswith(MIDNIGHT) for name in expected):
        known -= {name for name in known if name.startswith(MIDNIGHT)}
    told = {name: value for name, value in told.items() if name in known}
    if wrong := differences(told, expected):
        show.mismatch(console, told, expected)
        raise Failure(f"{len(wrong)} of {len(expected)} figures differ: {', '.join(wrong)}")
    console.print(
        f"[green]✓[/] {len(expected)} figures computed from the parquet and the mail server's log"
        " alone are the same; nobody is in that log twice",
        highlight=False,
        soft_wrap=True,
    )


def without_repeats(told: Figures, expected: Figures, runs: int) -> Figures:
    """What people did twice, at most one thing for every time that the story was told again."""
    again = {
        name: int(told[name]) - int(expected[name])
        for name in REPEATED
        if name in told and name in expected
    }
    total = sum(again.values())
    if not 0 < total < runs or min(again.values()) < 0:
        return told
    less = again | dict.fromkeys(COUNTED_IN, total)
    return {**told, **{name: int(told[name]) - count for name, count in less.items()}}
