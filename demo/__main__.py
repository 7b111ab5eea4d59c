"""`make demo`: a platform is told a year of purchases, sends a campaign, reports, and is checked.

Interrupt it, kill it, start it again: it ends in the same report.
"""

import argparse
import sys
import time
import webbrowser
from contextlib import closing
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from demo import check, dataset, platform, report, show
from demo.dataset import Journey
from demo.failure import Failure
from demo.mailserver import MailServer
from demo.platform import Platform
from demo.rest import Rest
from demo.state import Home, State
from demo.telling import STAGES, Telling

TENANT = "The Complete Journey (a replay of 2017)"


class Demo:
    """The story with everything it needs, and how long it took."""

    def __init__(self, console: Console, given: argparse.Namespace) -> None:
        self._console = console
        self._home = Home(given.home)
        self._given = given
        self._entered: dict[str, float] = {}

    def run(self, limit: int | None, day: date) -> None:
        """Raises `Failure` when anything was lost or refused, or does not add up."""
        with platform.only_one(self._home):
            self._enter("prepare")
            parquet = dataset.fetch(self._given.cache)
            journey = Journey(parquet, limit)
            state = self._home.begin(limit, day)
            self._say_what(state)
            if not state.secret_key:
                self._create_tenant(state)
            with (
                closing(MailServer(self._home.folder, self._home.mails)) as mails,
                platform.serving(self._home, state, mails.url) as server,
            ):
                self._watch_here(server, state)
                with Rest(server.port, state.secret_key) as rest:
                    told = Telling(
                        self._console, self._home, state, journey, server, rest, mails, self._enter
                    )
                    sent, figures = told.tell()
                memory = server.peak_memory()
                state.finished = True  # whatever the check says, the next run begins anew
                self._home.save(state)
                show.report(self._console, figures)
                check.check_sent(self._console, figures, sent, state.runs)
                self._home.keep(figures)
                check.compare(self._console, self._home, parquet, figures, state.runs)
                self._say_how_long(memory)
                self._linger(server)

    def _enter(self, stage: str) -> None:
        """Begins with one plain line: `demo.kills` reads them to know where to strike."""
        self._console.print(f"[bold cyan]{stage}[/]: {STAGES[stage]}", highlight=False)
        self._entered[stage] = time.monotonic()

    def _say_how_long(self, memory: int) -> None:
        begins = [*self._entered.values(), time.monotonic()]
        spent = [end - begin for begin, end in pairwise(begins)]
        took = dict(zip(STAGES, spent, strict=True))
        self._home.keep_took(took)
        each = " · ".join(f"{stage} {s:.1f}" for stage, s in took.items())
        peak = f" · the platform's memory at its peak {memory >> 20} MB" if memory else ""
        self._console.print(
            f"[dim]{sum(spent):.1f} s: {each}{peak}[/]", highlight=False, soft_wrap=True
        )

    def _say_what(self, state: State) -> None:
        size = (
            f"the first {state.limit:,} baskets before December and as many in it"
            if state.limit
            else "all of it"
        )
        again = f" (run {state.runs} of this story)" if state.runs > 1 else ""
        friday = f"{report.first_live(state.day):%A, %d %B %Y}"
        self._console.print(
            f"  the purchases of 2017, {size}; as if 1 December 2017 were {friday}{again}",
            highlight=False,
            soft_wrap=True,
        )

    def _watch_here(self, server: Platform, state: State) -> None:
        link = f"{server.url}/#key={state.secret_key}"
        self._console.print(f"  watch it here: [link={link}]{link}[/]", soft_wrap=True)
        if self._given.open:
            webbrowser.open(link)

    def _linger(self, server: Platform) -> None:
        if not self._given.serve:
            said = "  the platform has stopped; `make demo ARGS=--serve` leaves it running"
            self._console.print(said, highlight=False)
            return
        self._console.print(
            "  the page stays until Ctrl-C; --no-serve ends at once", highlight=False
        )
        try:
            while True:
                server.check()
                time.sleep(0.5)
        except KeyboardInterrupt:
            self._console.print("")

    def _create_tenant(self, state: State) -> None:
        """Its keys are printed once, each on a line of its own."""
        platform.command(self._home, "migrate")
        printed = platform.command(self._home, "tenant", "create", TENANT)
        for line in printed.splitlines():
            if line.startswith("mtw_"):
                state.write_key = line
            elif line.startswith("mts_"):
                state.secret_key = line
        if not (state.write_key and state.secret_key):
            raise Failure(f"`martech tenant create` printed no keys:\n{printed}")
        self._home.save(state)


def main() -> None:
    given = _arguments()
    console = Console()
    try:
        Demo(console, given).run(given.limit, given.day)
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
    parser.add_argument("--open", action="store_true", help="open the page where one can watch")
    parser.add_argument(
        "--serve",
        action=argparse.BooleanOptionalAction,
        default=sys.stdout.isatty(),  # somebody looks, so the page stays to be looked at
        help="go on serving at the end, as on a terminal, or end at once, as elsewhere",
    )
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
