"""Progress for people: bars on a terminal, a line now and then elsewhere. Always on stderr."""

import sys
import time
from datetime import timedelta

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from preftune.records import Watch

SECONDS_BETWEEN_LINES = 30


class BarWatch:
    """Bars with the time left, for a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars: Progress | None = None
        self.task = TaskID(0)

    def say(self, message: str) -> None:
        """Print a line above the bar."""
        self.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def begin(self, stage: str, total: int | None, done: int = 0) -> None:
        """Open a bar."""
        self.bars = Progress(
            TextColumn("{task.description:>10}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.fields[note]}"),
            console=self.console,
        )
        self.bars.start()
        self.task = self.bars.add_task(stage, total=total, completed=done, note="")

    def advance(self, done: int, note: str = "") -> None:
        """Move the bar."""
        if self.bars:
            self.bars.update(self.task, completed=done, note=note)

    def end(self) -> None:
        """Close the bar."""
        if self.bars:
            self.bars.stop()
            self.bars = None


class LineWatch:
    """At most a line in 30 seconds, for logs."""

    def __init__(self) -> None:
        self.stage, self.first = "", 0
        self.total: int | None = 0
        self.start = self.last = 0.0

    def say(self, message: str) -> None:
        """Print a line."""
        typer.echo(message, err=True)

    def begin(self, stage: str, total: int | None, done: int = 0) -> None:
        """Remember the stage."""
        self.stage, self.total, self.first = stage, total, done
        self.start = self.last = time.monotonic()

    def advance(self, done: int, note: str = "") -> None:
        """Print where the stage stands, if the last line is old enough."""
        now = time.monotonic()
        if now - self.last < SECONDS_BETWEEN_LINES:
            return
        self.last = now
        if self.total is None:
            self.say(f"{self.stage} {done:,}  {note}".rstrip())
            return
        left = (self.total - done) * (now - self.start) / max(1, done - self.first)
        eta = timedelta(seconds=round(left))
        self.say(f"{self.stage} {done:,}/{self.total:,}, {eta} left  {note}".rstrip())

    def end(self) -> None:
        """Nothing to close."""


def terminal_watch() -> Watch:
    """Bars if stderr is a terminal, lines if not."""
    return BarWatch(Console(stderr=True)) if sys.stderr.isatty() else LineWatch()
