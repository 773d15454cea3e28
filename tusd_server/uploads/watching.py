"""Tells hooks how far an upload has come while its bytes arrive, beside the request."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping

from hooks.base import Hooks
from hooks.events import HookEvent, HookName, RequestFacts, Stop
from tusd_server.errors import UploadError
from tusd_server.info import UploadInfo
from tusd_server.uploads.body import Body, Ending

PROGRESS_SECONDS = 1.0

MakeEvent = Callable[[HookName, UploadInfo, RequestFacts], HookEvent]
StopLate = Callable[[UploadInfo, Stop, RequestFacts], None]


class WatchedBody:
    """A body that counts what its reader is done with; see uploads.body.Body."""

    def __init__(self, body: Body) -> None:
        """Nothing is read yet."""
        self._body = body
        self.done = 0

    @property
    def length(self) -> int | None:
        """See Body."""
        return self._body.length

    @property
    def ending(self) -> Ending | None:
        """See Body."""
        return self._body.ending

    @property
    def trailers(self) -> Mapping[str, str]:
        """See Body."""
        return self._body.trailers

    def chunks(self, limit: int) -> Iterator[memoryview]:
        """See Body."""
        for view in self._body.chunks(limit):
            size = len(view)
            yield view
            # Behind the yield: the reader has written it.
            self.done += size

    def let_go(self) -> None:
        """See Body."""
        self._body.let_go()

    def closing(self) -> bool:
        """See Body."""
        return self._body.closing()


class Watched:
    """A body under way, and the wish of a hook to end its upload."""

    def __init__(self, body: Body) -> None:
        """Read `body`, whatever it is."""
        self.body = body
        self.stop: Stop | None = None
        self.over = False
        self._lock = threading.Lock()

    def end(self) -> None:
        """From here on `stop` does not change."""
        with self._lock:
            self.over = True

    def interrupt(self, stop: Stop) -> bool:
        """Stop the body; False when it is over, so that nobody would hear of it."""
        with self._lock:
            if self.over:
                return False
            self.stop = stop
        self.body.let_go()
        return True


class Watch:
    """Watches bodies for the hooks that want to hear of progress, and costs nothing without."""

    def __init__(
        self, hooks: Hooks, event: MakeEvent, stop_late: StopLate, interval_seconds: float
    ) -> None:
        """`event` makes the events; `stop_late` ends an upload whose request is over."""
        self._hooks = hooks
        self._event = event
        self._stop_late = stop_late
        self._interval_seconds = interval_seconds

    @property
    def wanted(self) -> bool:
        """Whether any hook wants to hear of progress."""
        return self._hooks.wants("post-receive")

    @contextlib.contextmanager
    def over(self, info: UploadInfo, body: Body, request: RequestFacts) -> Iterator[Watched]:
        """Watch one body from here on, and tell once more behind its end."""
        if not self.wanted:
            yield Watched(body)
            return
        watching = _Watching(info, WatchedBody(body))

        def tell(offset: int) -> Stop | None:
            return self._hooks.post_receive(self._event("post-receive", info.at(offset), request))

        def run() -> None:
            stop = watching.run(self._interval_seconds, tell)
            if stop is not None:
                self._stop_late(info, stop, request)

        threading.Thread(target=run, daemon=True, name="progress").start()
        try:
            yield watching.watched
            watching.kept = watching.now
        except UploadError as error:
            watching.kept = info.offset if error.offset is None else error.offset
            raise
        finally:
            watching.watched.end()
            watching.ended.set()


class _Watching:
    """What the request and the one who watches it know of each other."""

    def __init__(self, info: UploadInfo, body: WatchedBody) -> None:
        self.watched = Watched(body)
        self.ended = threading.Event()
        self.kept = info.offset
        self._body = body
        self._since = info.offset

    @property
    def now(self) -> int:
        return self._since + self._body.done

    def run(self, interval_seconds: float, tell: Callable[[int], Stop | None]) -> Stop | None:
        """Tell until the end; the wish to stop that comes behind the request."""
        told = self._since
        while not self.ended.wait(interval_seconds):
            now = self.now
            if now == told:
                continue
            told, stop = now, tell(now)
            if stop is not None:
                return None if self.watched.interrupt(stop) else stop
        return tell(self.kept) if self.kept != told else None
