"""A line that fills while a file is sent."""

import shutil
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from tusd_server.commands.words import bytes_of, clock_time

REDRAW_SECONDS = 0.1
RATE_SECONDS = 5.0
MOST_BAR = 30
MOST_NAME = 30
CLEAR_LINE = "\r\x1b[K"


class Progress:
    """Name, bar, bytes, rate and the time that is left; nothing where nobody watches."""

    def __init__(
        self,
        stream: TextIO,
        name: str,
        size: int,
        start: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`size` and `start` in bytes; draws on `stream` only if it is a terminal."""
        self._stream = stream
        self._watched = stream.isatty()
        self._name = name if len(name) <= MOST_NAME else name[: MOST_NAME - 1] + "…"
        self._size = size
        self._clock = clock
        self._drawn_at = float("-inf")
        self._seen = deque([(clock(), start)])

    def at(self, offset: int) -> None:
        """Show that so many bytes are out, ten times a second at most."""
        now = self._clock()
        if not self._watched or (now - self._drawn_at < REDRAW_SECONDS and offset < self._size):
            return
        # After a break the server may have less than was sent.
        if offset < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, offset))
        while len(self._seen) > 2 and now - self._seen[1][0] >= RATE_SECONDS:
            self._seen.popleft()
        self._drawn_at = now
        self._stream.write(CLEAR_LINE + self._line(offset))
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the line free for what is said next."""
        if self._watched:
            self._stream.write(CLEAR_LINE)
            self._stream.flush()

    def _line(self, offset: int) -> str:
        percent = 100 * offset // self._size if self._size else 100
        facts = f"{percent:3} %  {bytes_of(offset)} of {bytes_of(self._size)}{self._pace(offset)}"
        width = shutil.get_terminal_size().columns - 1
        room = width - len(self._name) - len(facts) - 6
        if room < 5:
            return f"{self._name}  {facts}"[:width]
        cells = min(room, MOST_BAR)
        filled = cells * percent // 100
        return f"{self._name}  [{'#' * filled}{'.' * (cells - filled)}]  {facts}"

    def _pace(self, offset: int) -> str:
        (began, first), (now, last) = self._seen[0], self._seen[-1]
        if now <= began or last <= first:
            return ""
        rate = (last - first) / (now - began)
        return f"  {bytes_of(rate)}/s  {clock_time((self._size - offset) / rate)}"
