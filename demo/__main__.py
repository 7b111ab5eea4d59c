"""`make demo`: a platform is started, told a year of purchases, asked for a report, and checked.

Interrupt it, kill it, start it again: it ends in the same report.
"""

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape

from demo import dataset, platform, report, show, story
from demo.bars import bar
from demo.dataset import Journey
from demo.failure import Failure
from demo.figures import Figures, differences
from demo.rest import Rest
from demo.sender import Sender
from demo.state import Home, State

STAGES = {
    "prepare": "the dataset, a platform of its own, a tenant",
    "identify": "every household, with what is known about it",
    "history": "the purchases before December, each at its moved time",
    "live": "December, in order, now",
    "report": "what the REST API says of it",
}
KEPT_SECONDS = 1.0
"""How long the landing page shows one look at things; only a later one knows the last answer."""
ONLY_TRACKED = ("received", "duplicate")
"""How often something was sent again cannot be read from the parquet."""


class Demo:
    """One telling of the story."""

    def __init__(self, console: Console, home: Home, cache: Path) -> None:
        self._console = console
        self._home = home
        self._cache = cache
        self._entered: dict[str, float] = {}

    def run(self, limit: int | None, day: date) -> None:
        """Raises `Failure` when anything was lost or refused, or does not add up."""
        with platform.only_one(self._home):
            self._enter("prepare")
            parquet = dataset.fetch(self._cache)
            journey = Journey(parquet, limit)
            state = self._home.begin(limit, day)
            self._say_what(state)
            if not state.secret_key:
                self._create_tenant(state)
            with platform.serving(self._home) as server:
                self._say_where_to_look(server, state)
                sent = self._tell(journey, state, server)
                self._enter("report")
                figures = self._ask(journey, state, server)
                memory = server.peak_memory()
            state.finished = True  # told: whatever the check says, the next run begins anew
            self._home.save(state)
            self._check(figures, sent, state, parquet)
        self._say_how_long(memory)

    def _enter(self, stage: str) -> None:
        """Begins with one plain line: `demo.kills` reads them to know where to strike."""
        self._console.print(f"[bold cyan]{stage}[/]: {STAGES[stage]}", highlight=False)
        self._entered[stage] = time.monotonic()

    def _say_how_long(self, memory: int) -> None:
        begins = [*self._entered.values(), time.monotonic()]
        spent = [end - begin for begin, end in pairwise(begins)]
        each = " · ".join(f"{stage} {s:.1f}" for stage, s in zip(STAGES, spent, strict=True))
        peak = f" · the platform's memory at its peak {memory >> 20} MB" if memory else ""
        self._console.print(
            f"[dim]{sum(spent):.1f} s: {each}{peak}[/]", highlight=False, soft_wrap=True
        )

    def _say_what(self, state: State) -> None:
        size = f"the first {state.limit:,} baskets of each part" if state.limit else "all of it"
        again = f" (run {state.runs} of this story)" if state.runs > 1 else ""
        friday = f"{report.first_live(state.day):%A, %d %B %Y}"
        self._console.print(
            f"  {size}; {state.moved.days // 7} weeks later: 1 December 2017 is {friday}{again}",
            highlight=False,
            soft_wrap=True,
        )

    def _say_where_to_look(self, server: platform.Platform, state: State) -> None:
        """The page keeps the key in the browser: what stands behind # is sent to nobody."""
        self._console.print(
            f"  watch it: [link]{server.url}/#key={state.secret_key}[/]",
            highlight=False,
            soft_wrap=True,
        )

    def _create_tenant(self, state: State) -> None:
        """Its keys are printed once, each on a line of its own."""
        platform.command(self._home, "migrate")
        printed = platform.command(self._home, "tenant", "create", "The Complete Journey")
        for line in printed.splitlines():
            if line.startswith("mtw_"):
                state.write_key = line
            elif line.startswith("mts_"):
                state.secret_key = line
        if not (state.write_key and state.secret_key):
            raise Failure(f"`martech tenant create` printed no keys:\n{printed}")
        self._home.save(state)

    def _tell(self, journey: Journey, state: State, server: platform.Platform) -> int:
        """Everything, in order. The number of events that were acknowledged."""
        log = self._home.folder / "client.log"
        sender = Sender(server.url, state.write_key, log, server.check)
        told = (
            ("identify", len(journey.households()), story.identifies(journey, state.moved)),
            ("history", journey.count("history"), story.history(journey, state.moved)),
            ("live", journey.count("live"), story.live(journey)),
        )
        for name, total, messages in told:
            self._enter(name)
            with bar(self._console, "sent", total) as done:
                sender.send(messages, done)
            if name != "identify":
                self._catch_up(server, state)
        sender.close()
        return sender.sent

    def _catch_up(self, server: platform.Platform, state: State) -> None:
        """Until every subscription has heard everything, as the landing page tells it."""
        time.sleep(KEPT_SECONDS)
        with Rest(server.port, state.secret_key) as rest:
            if not (total := rest.behind()):
                return
            with bar(self._console, "caught up", total) as done:
                while behind := rest.behind():
                    server.check()
                    done(max(0, total - behind))
                    time.sleep(0.05)
                done(total)

    def _ask(self, journey: Journey, state: State, server: platform.Platform) -> Figures:
        total = journey.count("history") + journey.count("live")
        with (
            Rest(server.port, state.secret_key) as rest,
            bar(self._console, "read", total) as done,
        ):
            return report.figures(rest, state.day, done)

    def _check(self, figures: Figures, sent: int, state: State, parquet: Path) -> None:
        show.report(self._console, figures)
        self._home.report.write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
        _check_sent(self._console, figures, sent, state.runs)
        arithmetic = [sys.executable, "-m", "demo.arithmetic", "--parquet", str(parquet)]
        done = subprocess.run(
            [*arithmetic, "--home", str(self._home.folder)], stdout=subprocess.PIPE, check=True
        )
        expected: Figures = json.loads(done.stdout)
        told = {name: value for name, value in figures.items() if name not in ONLY_TRACKED}
        if wrong := differences(told, expected):
            show.mismatch(self._console, told, expected)
            raise Failure(f"{len(wrong)} of {len(expected)} figures differ: {', '.join(wrong)}")
        self._console.print(
            f"[green]✓[/] {len(expected)} figures computed from the parquet alone are the same",
            highlight=False,
        )


def _check_sent(console: Console, figures: Figures, sent: int, runs: int) -> None:
    """An uninterrupted story: received is exactly what was sent.

    One that was killed and told again: received is at least that, every event is accepted once (the
    arithmetic knows how many there are), the rest are duplicates.
    """
    received, accepted, duplicate, rejected = (
        int(figures[name]) for name in ("received", "accepted", "duplicate", "rejected")
    )
    if received != accepted + duplicate + rejected:
        raise Failure(f"received {received:,} is not accepted + duplicate + rejected")
    if runs == 1 and (received != sent or duplicate):
        raise Failure(f"{sent:,} were sent, but {received:,} received, {duplicate:,} duplicate")
    if received < sent or accepted != sent:
        raise Failure(f"{sent:,} were sent, but {received:,} received, {accepted:,} accepted")
    how = "sent = received" if runs == 1 else f"told {runs} times: sent = accepted ≤ received"
    console.print(f"[green]✓[/] {how}: {sent:,}, {received:,}", highlight=False)


def main() -> None:
    given = _arguments()
    console = Console()
    try:
        Demo(console, Home(given.home), given.cache).run(given.limit, given.day)
    except Failure as failure:
        console.print(f"[bold red]✗[/] {escape(str(failure))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("interrupted; run it again and it goes on")
        sys.exit(130)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--limit", type=_positive, help="baskets of each part; default: all")
    parser.add_argument("--home", type=Path, default=Path("var/demo"), help="its own folder")
    parser.add_argument("--cache", type=Path, default=Path("var/cache"), help="for the dataset")
    parser.add_argument(
        "--day",
        type=date.fromisoformat,
        default=datetime.now(UTC).date(),
        help="the day of the run (UTC), for a story that shall be the same as yesterday's",
    )
    return parser.parse_args()


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    main()
