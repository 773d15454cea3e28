"""Bars that fill while files are sent, one for each file and one for all."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

MOST_NAME = 30


@dataclass(frozen=True)
class Bar:
    """One file's bar; see Transfer's Meter."""

    display: "Display"
    task: TaskID

    def at(self, offset: int) -> None:
        """So many bytes are out."""
        self.display.moved(self.task, offset)


class _Bytes(DownloadColumn):
    """Empty where no bytes are sent."""

    def render(self, task: Task) -> Text:
        """See rich."""
        return super().render(task) if task.total is not None else Text()


class Display:
    """What one run shows: results on standard output, all else on standard error.

    Draws nothing where nobody watches. May be used from several threads.
    """

    def __init__(self, files: int, total: int, *, console: Console | None = None) -> None:
        """`total` is the size of all `files` in bytes; with one file there is no bar for all."""
        self._console = console or Console(file=sys.stderr)
        self.watched = self._console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _Bytes(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            disable=not self.watched,
            transient=True,
            # What goes to a file or a pipe must not go to the terminal.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._lock = threading.Lock()
        self._offsets: dict[TaskID, int] = {}
        self._finished = 0
        self._all = self._progress.add_task("all", total=total) if files > 1 else None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw while the block runs."""
        with self._progress:
            yield

    @contextmanager
    def meter(self, name: str, size: int, start: int) -> Iterator[Bar]:
        """A bar for one file, of which `start` bytes are at the server already."""
        task = self._progress.add_task(_short(name), total=size, completed=start)
        self.moved(task, start)
        try:
            yield Bar(self, task)
        finally:
            with self._lock:
                del self._offsets[task]
            self._progress.remove_task(task)

    @contextmanager
    def examining(self, name: str) -> Iterator[None]:
        """A bar that only moves, while the server examines a file."""
        task = self._progress.add_task(f"{_short(name)}: examined", total=None)
        try:
            yield
        finally:
            self._progress.remove_task(task)

    def over(self, size: int) -> None:
        """A file of this size is done with, sent or not."""
        with self._lock:
            self._finished += size
        self._move_all()

    def moved(self, task: TaskID, offset: int) -> None:
        """A bar stands here now; after a break the server may have less than was sent."""
        self._progress.update(task, completed=offset)
        with self._lock:
            self._offsets[task] = offset
        self._move_all()

    def result(self, text: str) -> None:
        """Print to standard output, between the bars where both are one terminal."""
        with self._lock:
            self._progress.stop()
            print(text, flush=True)
            if self.watched:
                self._progress.start()

    def say(self, sentence: str) -> None:
        """Tell the user a sentence, above the bars."""
        self._console.print(
            f"tusd-server: {sentence}", markup=False, highlight=False, emoji=False, soft_wrap=True
        )

    def _move_all(self) -> None:
        if self._all is not None:
            with self._lock:
                under_way = sum(self._offsets.values())
                self._progress.update(self._all, completed=self._finished + under_way)


def _short(name: str) -> str:
    return name if len(name) <= MOST_NAME else name[: MOST_NAME - 1] + "…"
