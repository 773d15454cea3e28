"""Tells the listeners of this process which media changed, whichever process changed them.

One look at the database serves all listeners: its cost grows with what changes, not with how
many listen.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from processing.catalog import Catalog
from processing.medium import Change
from processing.moments import Clock, utc_now

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
END_SECONDS = 2.0
# A change is stamped before it is committed, perhaps by a machine whose clock is late.
OVERLAP = timedelta(seconds=5)

Wants = Callable[[Change], bool]
Stopping = Callable[[], bool]


def never() -> bool:
    """For a server that does not say when it stops."""
    return False


class Listener:
    """Waits for the changes that it wants; made by `Changes.listen`."""

    def __init__(self, wants: Wants) -> None:
        """Nothing has happened yet."""
        self.ended = False
        self._wants = wants
        self._bell = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Whether something that it wants changed, or it ended, within this time."""
        rung = self._bell.wait(max(0.0, seconds))
        self._bell.clear()
        return rung

    def tell(self, changes: Sequence[Change]) -> None:
        """Wake the listener if it wants one of these."""
        if any(map(self._wants, changes)):
            self._bell.set()

    def end(self) -> None:
        """Wake the listener for the last time."""
        self.ended = True
        self._bell.set()


class Changes:
    """Looks for changes as long as anybody listens; safe to share between threads and greenlets."""

    def __init__(
        self, catalog: Catalog, *, tick_seconds: float = TICK_SECONDS, clock: Clock = utc_now
    ) -> None:
        """Look for nothing yet; a change is told after `tick_seconds` at the latest."""
        self._catalog = catalog
        self._tick_seconds = tick_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()
        self._nobody_listens = threading.Event()
        self._looking: threading.Thread | None = None
        self._stopping: Stopping = never

    @contextmanager
    def listen(self, wants: Wants, stopping: Stopping = never) -> Iterator[Listener]:
        """A listener for as long as the block runs; it ends early when `stopping` turns true.

        What changed shortly before may be told once more.
        """
        listener = Listener(wants)
        with self._lock:
            self._listeners.add(listener)
            self._stopping = stopping
            self._nobody_listens.clear()
            if self._looking is None:
                self._looking = threading.Thread(target=self._look, name="changes", daemon=True)
                self._looking.start()
        try:
            yield listener
        finally:
            with self._lock:
                self._listeners.discard(listener)
                looking = None if self._listeners else self._looking
                if looking is not None:
                    self._nobody_listens.set()
            if looking is not None:
                # So that who closes the catalog afterwards finds nobody at work in it.
                looking.join(END_SECONDS)

    def _look(self) -> None:
        told: dict[str, datetime] = {}
        since = self._clock() - OVERLAP
        while self._go_on():
            if self._stopping():
                for listener in self._everybody():
                    listener.end()
            try:
                found = self._catalog.changes_since(since)
            except Exception:  # the database is away: listeners hear of it by their own looks
                log.exception("changes of media could not be looked up")
                found = ()
            fresh = [change for change in found if told.get(change.media_id) != change.changed_at]
            told = {change.media_id: change.changed_at for change in found} or told
            if fresh:
                since = max(since, max(change.changed_at for change in fresh) - OVERLAP)
                for listener in self._everybody():
                    listener.tell(fresh)
            self._nobody_listens.wait(self._tick_seconds)

    def _go_on(self) -> bool:
        with self._lock:
            if not self._listeners:
                self._looking = None
            return bool(self._listeners)

    def _everybody(self) -> Sequence[Listener]:
        with self._lock:
            return tuple(self._listeners)
