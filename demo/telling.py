"""The story from the first household to the report. Every stage may be told again."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Console

from demo import content, marketer, outcome, report, story
from demo.bars import bar
from demo.children import Child
from demo.dataset import Journey
from demo.failure import Failure
from demo.figures import Figures
from demo.mailserver import MailServer
from demo.marketer import Marketer, Segment
from demo.platform import Platform
from demo.rest import Rest
from demo.sender import Sender
from demo.state import Home, State

STAGES = {
    "prepare": "the dataset, a mail server, a platform of its own, a tenant",
    "identify": "every household, with what is known about it",
    "history": "the purchases before December, each at its moved time",
    "segment": "good customers: who ordered often, spent much and can be reached",
    "content": "a mail for them: written, linted, looked at, published",
    "campaign": "the mail to everybody in the segment, by SMTP",
    "people": "who got it looks at it, follows its links, or has had enough",
    "live": "December, in order, now",
    "report": "what the REST API says of it",
}
QUIET_SECONDS = 1.1
"""The landing page shows a look at things for a second; a later one knows the last answer."""
LOOK_SECONDS = 0.05


@dataclass
class Telling:
    """One telling, when everything that it needs is running."""

    console: Console
    home: Home
    state: State
    journey: Journey
    server: Platform
    rest: Rest
    mails: MailServer
    enter: Callable[[str], None]
    """Told the name of each stage as it begins."""

    def tell(self) -> tuple[int, Figures]:
        """How many events were acknowledged, and the report. Raises `Failure`."""
        log = self.home.folder / "client.log"
        sender = Sender(self.server.url, self.state.write_key, log, self.server.check)
        moved = self.state.moved
        journey, households = self.journey, len(self.journey.households())
        self._send("identify", sender, households, story.identifies(journey, moved))
        self._send("history", sender, journey.count("history"), story.history(journey, moved))
        self._settle()
        segment = self._segment()
        self._campaign(segment)
        self._people()
        self._send("live", sender, journey.count("live"), story.live(journey))
        self._settle()
        sender.close()
        self.enter("report")
        return sender.sent, self._report(segment)

    def _send(self, name: str, sender: Sender, total: int, messages: story.Messages) -> None:
        self.enter(name)
        with bar(self.console, "sent", total) as done:
            sender.send(messages, done)

    def _settle(self) -> None:
        """Until everything that was told is heard and everything due is done, at two looks."""
        looks = self._looks()
        most = next((behind for behind in looks if behind), 0)
        if not most:
            self.console.print("  caught up  at once: nothing was waiting", highlight=False)
            return
        with bar(self.console, "caught up", most) as done:
            for behind in looks:
                most = max(most, behind)
                done(most - behind, most)

    def _looks(self) -> Iterator[int]:
        """How much waits, look by look, until nothing did at two."""
        behind = quiet = 0
        while quiet < 2:
            time.sleep(LOOK_SECONDS if behind else QUIET_SECONDS)
            self.server.check()
            behind = self.rest.behind()
            quiet = 0 if behind else quiet + 1
            yield behind

    def _segment(self) -> Segment:
        """Its size before December is asked once: later, December is in it."""
        self.enter("segment")
        least = self.journey.least()
        with bar(self.console, "computed", 100) as done:
            found = marketer.segment(self.rest, least, done)
        if self.state.segment_before is None:
            self.state.segment_before = found.size
            self.home.save(self.state)
        self.console.print(
            f"  at least {least.orders} orders and {least.dollars:,} dollars spent:"
            f" [bold]{self.state.segment_before}[/] households",
            highlight=False,
        )
        return found

    def _campaign(self, segment: Segment) -> None:
        self.enter("content")
        template = content.published(self.rest)
        self.console.print(
            f"  the template “{content.NAME}”, version {template.version}", highlight=False
        )
        self.enter("campaign")
        run = Marketer(self.rest, self.mails, self.server.check)
        campaign = run.launch(segment, template.content_id)
        with bar(self.console, "mails", self.state.segment_before or 0) as done:
            status = run.follow(campaign, done)
        self.state.campaign = campaign.id
        self.home.save(self.state)
        counts = status.counts
        self.console.print(
            f"  “{marketer.CAMPAIGN}”: {counts.delivered:,} delivered,"
            f" {counts.bounced:,} refused by the mail server",
            highlight=False,
            soft_wrap=True,
        )

    def _people(self) -> None:
        """They are a program of their own: all they have is the mail server's log."""
        self.enter("people")
        program = [sys.executable, "-m", "demo.people", "--at", f"127.0.0.1:{self.server.port}"]
        mails, log = self.home.mails.resolve(), self.home.people.resolve()
        files = ["--mails", str(mails), "--log", str(log)]
        child = Child(self.home.folder, "people", [*program, *files])
        try:
            with bar(self.console, "mailboxes", 0) as done:
                while child.alive:
                    self.server.check()
                    _show(child, done)
                    time.sleep(LOOK_SECONDS)
                _show(child, done)
            if child.process.returncode:
                raise Failure(f"The people's program stopped ({child.ending()}")
        finally:
            child.stop()

    def _report(self, segment: Segment) -> Figures:
        total = self.journey.count("history") + self.journey.count("live")
        with bar(self.console, "read", total) as done:
            people = report.figures(self.rest, self.state.day, done)
        after = self.rest.get(f"{marketer.SEGMENTS}/{segment.id}", Segment).size
        return {
            **people,
            "segment before December": self.state.segment_before or 0,
            "segment after December": after,
            **outcome.figures(self.rest, self.state.campaign, report.first_live(self.state.day)),
        }


def _show(child: Child, done: Callable[[int, int], None]) -> None:
    """The last line that the people's program printed: ``12 of 113``."""
    lines = child.log.read_text().split("\n")[:-1]
    if lines and " of " in lines[-1]:
        count, _, total = lines[-1].partition(" of ")
        if count.isdecimal() and total.isdecimal():
            done(int(count), int(total))
