"""One writer for each upload, or many that share it, with take-over: a newcomer asks the holders
to let go.

The case that every phone meets: the network dies, the phone reconnects and goes on, and the
server still waits on the dead connection. So whoever wants a lock asks its holder to stop; the
holder keeps its bytes and lets go. Those who write chunks, each its own, share the lock and are
asked only by whoever wants it alone. A lock is an flock on the upload's data file: it works between
greenlets, threads and processes, costs one system call, leaves no litter, and dies with its
process, so that nobody ever guesses whether a PID is still the right one.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tusd_server.errors import UploadLocked, UploadNotFound
from tusd_server.info import check_id, is_id

POLL_SECONDS = 0.02
LISTEN_SECONDS = 0.2
ASK_AGAIN_SECONDS = 1.0
# A request that is older was left by one who was killed while waiting.
STALE_SECONDS = 3 * ASK_AGAIN_SECONDS
SETTLE_SECONDS = 1.0

_NOT_LET_GO = "Another request is writing this upload and did not let go in time; try again."
# Behind the id in the name of a request by one who is content to share.
_TO_SHARE = ".share"


class Holder(Protocol):
    """What a lock knows of the request that holds it."""

    def let_go(self) -> None:
        """Stop as soon as possible, keeping what was received; called from another greenlet."""

    def closing(self) -> bool:
        """True when the client has closed its side and only bytes under way are still read."""


class Locker(Protocol):
    """Gives one upload to one writer at a time, or to many that are content to share it."""

    def hold(self, upload_id: str, holder: Holder) -> contextlib.AbstractContextManager[None]:
        """Hold the upload's lock alone; asks all who have it to let go.

        Raises UploadLocked when that takes longer than the lock timeout, UploadNotFound when
        the upload vanished meanwhile.
        """

    def share(self, upload_id: str, holder: Holder) -> contextlib.AbstractContextManager[None]:
        """Hold the upload's lock together with others that share it.

        Asks one who holds it alone to let go, and lets those go first who wait to do so. Raises
        as `hold` does.
        """

    def settle(self, upload_id: str) -> bool:
        """Wait, at most SETTLE_SECONDS, while a holder whose client has left takes in its bytes.

        So the offset of a HEAD right after a break is the one that the next PATCH finds. Never
        disturbs a healthy holder and returns at once when there is one. True when it waited.
        """


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """One holding of one lock."""

    holder: Holder
    shared: bool


class FileLocker:
    """Locks between all processes that share a directory on one machine.

    Holders in this process are called directly. Those of other processes find a file in
    `requests`, which each process with locks lists every LISTEN_SECONDS, until the one who waits
    has the lock.
    """

    def __init__(self, root: Path, requests: Path, *, timeout_seconds: float) -> None:
        """`root` holds the data files; `requests` is a directory for this purpose alone."""
        self._base = str(root.absolute()) + os.sep
        self._requests = str(requests.absolute()) + os.sep
        self._timeout_seconds = timeout_seconds
        self._holdings: dict[str, tuple[_Held, ...]] = {}
        self._guard = threading.Lock()
        self._listener: threading.Thread | None = None
        requests.mkdir(parents=True, exist_ok=True)
        # Of waiters that were killed. Who still waits asks again.
        for request in os.listdir(requests):
            self._withdraw(request)

    @contextlib.contextmanager
    def hold(self, upload_id: str, holder: Holder) -> Iterator[None]:
        """See Locker."""
        with self._holding(upload_id, _Held(holder, shared=False)):
            yield

    @contextlib.contextmanager
    def share(self, upload_id: str, holder: Holder) -> Iterator[None]:
        """See Locker."""
        with self._holding(upload_id, _Held(holder, shared=True)):
            yield

    def held(self, upload_id: str) -> bool:
        """Whether somebody holds the upload's lock now, in whatever process."""
        try:
            descriptor = self._try(self._base + check_id(upload_id), shared=False)
        except UploadNotFound:
            return False
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def settle(self, upload_id: str) -> bool:
        """See Locker. Sees the holders of this process; others' bytes are counted as they come."""
        give_up = time.monotonic() + SETTLE_SECONDS
        waited = False
        while any(held.holder.closing() for held in self._holders(upload_id)):
            waited = True
            if time.monotonic() > give_up:
                break
            time.sleep(POLL_SECONDS / 4)
        return waited

    @contextlib.contextmanager
    def _holding(self, upload_id: str, held: _Held) -> Iterator[None]:
        descriptor = self._lock(check_id(upload_id), held.shared)
        try:
            if not held.shared:
                # Meant for the last holders, by one who was killed before the lock was free.
                self._withdraw(upload_id)
            with self._guard:
                self._holdings[upload_id] = (*self._holders(upload_id), held)
            self._listen()
            yield
        finally:
            # When joined parts took the place of the file that we locked, the next one may be in.
            with self._guard:
                others = tuple(other for other in self._holders(upload_id) if other is not held)
                self._holdings[upload_id] = others
                if not others:
                    del self._holdings[upload_id]
            os.close(descriptor)

    def _holders(self, upload_id: str) -> tuple[_Held, ...]:
        return self._holdings.get(upload_id, ())

    def _lock(self, upload_id: str, shared: bool) -> int:
        descriptor = self._try_fairly(upload_id, shared)
        return self._wait(upload_id, shared) if descriptor is None else descriptor

    def _try_fairly(self, upload_id: str, shared: bool) -> int | None:
        """Take the lock if it is free and nobody comes first.

        Chunks may come without a pause, and one who wants the lock alone would wait for ever.
        """
        if shared and self._is_asked_for(upload_id):
            return None
        return self._try(self._base + upload_id, shared)

    def _try(self, path: str, shared: bool) -> int | None:
        """Take the lock if it is free; the descriptor is the lock."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise UploadNotFound("There is no such upload.") from None
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return None
            raise
        # The last holder may have deleted the file between our open and our lock, or put the
        # joined parts in its place.
        if os.fstat(descriptor).st_nlink == 0:
            os.close(descriptor)
            return self._try(path, shared)
        return descriptor

    def _wait(self, upload_id: str, shared: bool) -> int:
        started = asked = time.monotonic()
        self._ask(upload_id, shared)
        try:
            while time.monotonic() - started < self._timeout_seconds:
                time.sleep(POLL_SECONDS)
                descriptor = self._try_fairly(upload_id, shared)
                if descriptor is not None:
                    return descriptor
                # Another newcomer may have been first, on a connection that is dead as well.
                if time.monotonic() - asked > ASK_AGAIN_SECONDS:
                    asked = time.monotonic()
                    self._ask(upload_id, shared)
        finally:
            # Before we are a holder ourselves, or our own listener would read our own request.
            self._withdraw(_request(upload_id, shared))
        raise UploadLocked(_NOT_LET_GO)

    def _ask(self, upload_id: str, shared: bool) -> None:
        """Ask the holders in this process, and leave a request for those in others."""
        _tell(self._holders(upload_id), to_share=shared)
        path = self._requests + _request(upload_id, shared)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o664)
        try:
            os.utime(descriptor)
        finally:
            os.close(descriptor)

    def _is_asked_for(self, request: str) -> bool:
        try:
            asked_at = os.stat(self._requests + request).st_mtime
        except FileNotFoundError:
            return False
        if time.time() - asked_at < STALE_SECONDS:
            return True
        self._withdraw(request)
        return False

    def _withdraw(self, request: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._requests + request)

    def _listen(self) -> None:
        # Started with the first lock and not before: a thread does not survive the fork in
        # which a server makes its workers.
        if self._listener is None or not self._listener.is_alive():
            self._listener = threading.Thread(target=self._answer_requests, daemon=True)
            self._listener.start()

    def _answer_requests(self) -> None:
        while True:
            time.sleep(LISTEN_SECONDS)
            if self._holdings:
                for request in os.listdir(self._requests):
                    self._answer(request)

    def _answer(self, request: str) -> None:
        upload_id = request.removesuffix(_TO_SHARE)
        # First the holders, then the request: one who waited withdraws it and then holds, and
        # must not be sent away by it.
        holders = self._holders(upload_id) if is_id(upload_id) else ()
        if holders and self._is_asked_for(request):
            _tell(holders, to_share=request != upload_id)


def _request(upload_id: str, shared: bool) -> str:
    return upload_id + _TO_SHARE if shared else upload_id


def _tell(holders: tuple[_Held, ...], *, to_share: bool) -> None:
    """Ask those to let go who are in the way."""
    for held in holders:
        if not (to_share and held.shared):
            held.holder.let_go()


class MemoryLocker:
    """Locks between the threads of one process, for tests and for the memory store."""

    def __init__(self, *, timeout_seconds: float, sleep: Callable[[float], None] = time.sleep):
        """Start with everything free."""
        self._timeout_seconds = timeout_seconds
        self._sleep = sleep
        self._holdings: dict[str, list[_Held]] = {}
        # Those who wait for an upload to have it alone.
        self._waiting: dict[str, list[_Held]] = {}
        self._guard = threading.Lock()

    @contextlib.contextmanager
    def hold(self, upload_id: str, holder: Holder) -> Iterator[None]:
        """See Locker."""
        with self._holding(upload_id, _Held(holder, shared=False)):
            yield

    @contextlib.contextmanager
    def share(self, upload_id: str, holder: Holder) -> Iterator[None]:
        """See Locker."""
        with self._holding(upload_id, _Held(holder, shared=True)):
            yield

    def settle(self, upload_id: str) -> bool:
        """See Locker; there are no connections here that could be closing."""
        return False

    @contextlib.contextmanager
    def _holding(self, upload_id: str, held: _Held) -> Iterator[None]:
        self._take(upload_id, held)
        try:
            yield
        finally:
            with self._guard:
                self._holdings[upload_id].remove(held)

    def _take(self, upload_id: str, held: _Held) -> None:
        give_up = time.monotonic() + self._timeout_seconds
        waiting = self._waiting.setdefault(upload_id, [])
        if not held.shared:
            waiting.append(held)
        try:
            while not self._taken(upload_id, held):
                if time.monotonic() > give_up:
                    raise UploadLocked(_NOT_LET_GO)
                self._sleep(POLL_SECONDS)
        finally:
            if not held.shared:
                waiting.remove(held)

    def _taken(self, upload_id: str, held: _Held) -> bool:
        with self._guard:
            others = self._holdings.setdefault(upload_id, [])
            in_the_way = [other for other in others if not (held.shared and other.shared)]
            free = not in_the_way and not (held.shared and self._waiting[upload_id])
            if free:
                others.append(held)
        _tell(tuple(in_the_way), to_share=held.shared)
        return free
