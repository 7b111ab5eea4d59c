"""`kill -9` at random moments of the demo, drawn from a printed seed; each time it is run again.

    python -m demo.kills [--seed N] [--each 2] [--limit 400] [--stages campaign people]

First an uninterrupted run, whose report is the measure (or one that there is: `--measure HOME`).
Then *each* strikes in every stage, and twice as many while mails are sent: at a drawn moment (then:
at a drawn mail) a drawn victim is killed (the demo, its platform, both and all they started at
once, or the mail server, which is started again on its log).
The demo is run again to its end, and the report must be the same, but for what was received twice.
That nobody has a mail twice is for the demo itself to say: it fails otherwise.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from demo.check import ONLY_TRACKED, without_repeats
from demo.failure import Failure
from demo.figures import Figures, differences
from demo.state import Home
from demo.telling import STAGES

VICTIMS = ("demo", "platform", "both", "mailserver")
MISSES = 8
"""Draws a strike may take to hit its stage: a machine is not the same speed twice."""
RUN_SECONDS = 600
LOOK_SECONDS = 0.002


@dataclass(frozen=True)
class Strike:
    stage: str
    moment: float
    """A fraction of the time that the stage took undisturbed; of the campaign, of its mails."""
    victim: str

    def __str__(self) -> str:
        return f"{self.stage} at {self.moment:.0%}, {self.victim}"


@dataclass
class Run:
    """One `python -m demo`, watched by the lines with which its stages begin."""

    process: subprocess.Popen[str]
    entered: dict[str, float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    moved: threading.Condition = field(default_factory=threading.Condition)
    ended: bool = False

    def watch(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line)
            if (stage := line.partition(":")[0]) in STAGES:
                with self.moved:
                    self.entered[stage] = time.monotonic()
                    self.moved.notify_all()
        with self.moved:
            self.ended = True
            self.moved.notify_all()

    def reach(self, stage: str) -> None:
        """Until that stage has begun, or the run is over."""
        with self.moved:
            self.moved.wait_for(lambda: stage in self.entered or self.ended, RUN_SECONDS)

    def goes_on_for(self, seconds: float) -> bool:
        """Whether it was not over before."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def finish(self) -> None:
        """Until it is over. Raises `Failure` when it was not well."""
        code = self.process.wait(RUN_SECONDS)
        with self.moved:
            self.moved.wait_for(lambda: self.ended, RUN_SECONDS)
        if code:
            raise Failure(f"The demo ended with {code}:\n{''.join(self.lines)}")


class Killer:
    def __init__(self, console: Console, folder: Path, cache: Path) -> None:
        self._console = console
        self._folder = folder
        self._options = ["--cache", str(cache)]
        self.hits = Counter[str]()
        self.duplicates = 0

    def measure(self, limit: int, told: Path | None) -> tuple[Figures, dict[str, float]]:
        """The report of a demo that nothing disturbed, and how long each of its stages took: of
        the one that was *told* already, or of one that is told now, of *limit* baskets. Its day and
        its baskets hold for all that follow, though midnight may pass between two."""
        home = Home(told or self._fresh("undisturbed"))
        if not told:
            today = datetime.now(UTC).date()
            self._start(home.folder, "--limit", str(limit), "--day", f"{today}").finish()
        state = home.load()
        if state is None or not home.took.is_file():
            raise Failure(f"In {home.folder} no demo was told to its end.")
        self._options += ["--day", f"{state.day}"]
        self._options += ["--limit", str(state.limit)] if state.limit else []
        return _report(home.folder), json.loads(home.took.read_text())

    def strike(self, strike: Strike, took: dict[str, float], mails: int) -> Figures | None:
        """The report after the kill and the second run; None when the moment was missed. So long
        *took* the stages, and so many *mails* were taken, undisturbed."""
        home = self._fresh("struck")
        run = self._start(home)
        run.reach(strike.stage)
        if strike.stage == "campaign":
            wanted, come = 1 + int(strike.moment * mails), True
            while come and _taken(home) < wanted:
                come = run.goes_on_for(LOOK_SECONDS)
        else:
            come = run.goes_on_for(strike.moment * took[strike.stage])
        if not come:
            return None
        stage = list(run.entered)[-1]
        victim = self._kill(run, home, strike.victim)
        run.process.wait(RUN_SECONDS)
        if victim == "mailserver":
            run.finish()
        elif run.process.returncode == 0:
            return None
        else:
            self._start(home).finish()
        self.hits[stage] += 1
        report = _report(home)
        self.duplicates += int(report["duplicate"])
        self._console.print(
            f"  killed {victim} in {stage} ({strike}): told to its end,"
            f" {report['duplicate']:,} events sent twice",
            soft_wrap=True,
        )
        return report

    def _start(self, home: Path, *options: str) -> Run:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo", "--home", str(home), *self._options, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        run = Run(process)
        threading.Thread(target=run.watch, daemon=True).start()
        return run

    def _kill(self, run: Run, home: Path, victim: str) -> str:
        """Who was really killed: before it starts and after it stops there is no platform."""
        if victim == "both":
            os.killpg(run.process.pid, signal.SIGKILL)
            return victim
        pid = home / {"platform": "server.pid", "mailserver": "mailserver.pid"}.get(victim, "none")
        with suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int(pid.read_text()), signal.SIGKILL)
            return victim
        run.process.kill()
        return "demo"

    def _fresh(self, name: str) -> Path:
        home = self._folder / name
        shutil.rmtree(home, ignore_errors=True)
        return home


def rounds(killer: Killer, given: argparse.Namespace, console: Console) -> None:
    """Raises `Failure` when a report differs or a stage was not hit often enough."""
    expected, took = killer.measure(given.limit, given.measure)
    chance = random.Random(given.seed)
    for stage in given.stages:
        more = stage == "campaign" and len(given.stages) > 1
        wanted = 2 * given.each if more else given.each
        for _ in range(wanted * MISSES):
            if killer.hits[stage] >= wanted:
                break
            strike = Strike(stage, chance.random(), chance.choice(VICTIMS))
            found = killer.strike(strike, took, int(expected["delivered"]))
            if found is None:
                console.print(f"  missed ({strike}): drawing again")
            elif wrong := differences(*_comparable(expected, found)):
                raise Failure(f"After {strike} these differ: {', '.join(wrong)}")
        else:
            raise Failure(f"{stage} was hit {killer.hits[stage]} times only.")
    if not killer.duplicates and {"live", "report"} & {*given.stages}:
        raise Failure("No kill made anything be sent twice: they cannot have struck.")


def _taken(home: Path) -> int:
    """How many mails the mail server has taken."""
    try:
        return (home / "mails.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _report(home: Path) -> Figures:
    figures: Figures = json.loads((home / "report.json").read_text())
    return figures


def _comparable(expected: Figures, found: Figures) -> tuple[Figures, Figures]:
    """Without what was sent twice; who was killed may have done one thing twice."""
    told = without_repeats(found, expected, runs=2)
    one, other = (
        {name: value for name, value in figures.items() if name not in ONLY_TRACKED}
        for figures in (expected, told)
    )
    return one, other


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.kills", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--each", type=int, default=2, help="strikes in each stage")
    parser.add_argument("--limit", type=int, default=400, help="baskets of each part")
    parser.add_argument(
        "--measure",
        type=Path,
        metavar="HOME",
        help="of a demo that was told to its end: its report, day and baskets (default: tell one)",
    )
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=list(STAGES))
    parser.add_argument("--home", type=Path, default=Path("var/kills"))
    parser.add_argument("--cache", type=Path, default=Path("var/cache"))
    given = parser.parse_args()
    console = Console(highlight=False)
    console.print(f"seed {given.seed}, {given.each} kills in each of {', '.join(given.stages)}")
    killer = Killer(console, given.home, given.cache)
    try:
        rounds(killer, given, console)
    except Failure as failure:
        console.print(f"[red]✗[/] seed {given.seed}: {escape(str(failure))}", soft_wrap=True)
        sys.exit(1)
    hits = ", ".join(f"{count} in {stage}" for stage, count in killer.hits.items())
    console.print(
        f"[green]✓[/] {killer.hits.total()} kills ({hits}), each time the same report",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
