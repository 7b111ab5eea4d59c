"""Progress with its rate, for whatever takes longer than a breath."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text


class Done(Protocol):
    def __call__(self, done: int, total: int | None = None) -> None:
        """How much is done (not how much was added), and of how much if that is news."""


class Rate(ProgressColumn):
    """What the machine has done a second, on average."""

    def render(self, task: Task) -> Text:
        elapsed = task.finished_time or task.elapsed
        rate = f"{task.completed / elapsed:,.0f}/s" if elapsed else ""
        return Text(rate, style="progress.data.speed")


@contextmanager
def bar(console: Console, label: str, total: int) -> Iterator[Done]:
    columns = (
        TextColumn("  {task.description:<10}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        Rate(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=total)

        def update(done: int, total: int | None = None) -> None:
            progress.update(task, completed=done, total=total)

        yield update
