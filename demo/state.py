"""What one story remembers between a kill and the next start: which day it is told on, and by whom.

Nothing here says how far the story has come: it is told again from its beginning, and the platform
knows what it has heard.
"""

import os
import shutil
from datetime import date, timedelta
from pathlib import Path

import msgspec

from demo.figures import Figures
from demo.story import offset


class State(msgspec.Struct, kw_only=True):
    day: date
    """The day of the first start. A run that is killed and goes on tomorrow keeps its calendar."""
    limit: int | None
    runs: int = 0
    write_key: str = ""
    secret_key: str = ""
    port: int = 0
    """Where the platform was first; the links in its mails lead there."""
    segment_before: int | None = None
    """How many the segment had before December: it was asked then, as December changes it."""
    campaign: str = ""
    finished: bool = False

    @property
    def moved(self) -> timedelta:
        return offset(self.day)


class Home:
    """The demo's own folder. `data` is the platform's, everything else the demo's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.report = folder / "report.json"
        self.took = folder / "took.json"
        self.state = folder / "state.json"
        self.mails = folder / "mails.jsonl"
        self.people = folder / "people.jsonl"
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, limit: int | None, today: date) -> State:
        """Go on with the story that was interrupted, or throw the last one away and begin.

        Before the keys were saved nothing can have been sent.
        """
        state = self.load()
        if state is None or state.finished or not state.secret_key or state.limit != limit:
            self.state.unlink(missing_ok=True)
            for file in (self.report, self.took, self.mails, self.people):
                file.unlink(missing_ok=True)
            shutil.rmtree(self.data, ignore_errors=True)
            state = State(day=today, limit=limit)
        state.runs += 1
        self.save(state)
        return state

    def load(self) -> State | None:
        try:
            return msgspec.json.decode(self.state.read_bytes(), type=State)
        except FileNotFoundError:
            return None

    def save(self, state: State) -> None:
        """Whole or not at all, readable by its owner only: it holds keys."""
        partial = self.state.with_suffix(".partial")
        with open(partial, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(msgspec.json.format(msgspec.json.encode(state)))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.state)

    def keep(self, figures: Figures) -> None:
        self.report.write_bytes(msgspec.json.format(msgspec.json.encode(figures)))

    def keep_took(self, took: dict[str, float]) -> None:
        """The seconds of each stage of a run that went to its end."""
        self.took.write_bytes(msgspec.json.format(msgspec.json.encode(took)))
