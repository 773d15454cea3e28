"""One writer for each upload, with take-over: a newcomer asks the holder to let go.

The case that every phone meets: the network dies, the phone reconnects and goes on, and the
server still waits on the dead connection. So whoever wants a lock asks its holder to stop; the
holder keeps its bytes and lets go. A lock is an flock on the upload's data file: it works between
greenlets, threads and processes, costs one system call, leaves no litter, and dies with its
process, so that nobody ever guesses whether a PID is still the right one.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from tusd_server.errors import UploadLocked, UploadNotFound
from tusd_server.info import check_id, is_id

POLL_SECONDS = 0.02
LISTEN_SECONDS = 0.2
ASK_AGAIN_SECONDS = 1.0
SETTLE_SECONDS = 1.0


class Holder(Protocol):
    """What a lock knows of the request that holds it."""

    def let_go(self) -> None:
        """Stop as soon as possible, keeping what was received; called from another greenlet."""

    def closing(self) -> bool:
        """True when the client has closed its side and only bytes under way are still read."""


class Locker(Protocol):
    """Gives one upload to one writer at a time."""

    def hold(self, upload_id: str, holder: Holder) -> contextlib.AbstractContextManager[None]:
        """Hold the upload's lock; asks whoever has it to let go.

        Raises UploadLocked when that takes longer than the lock timeout, UploadNotFound when
        the upload vanished meanwhile.
        """

    def settle(self, upload_id: str) -> bool:
        """Wait, at most SETTLE_SECONDS, while a holder whose client has left takes in its bytes.

        So the offset of a HEAD right after a break is the one that the next PATCH finds. Never
        disturbs a healthy holder and returns at once when there is one. True when it waited.
        """


class FileLocker:
    """Locks between all processes that share a directory on one machine.

    Within a process the holder is called directly. A holder in another process finds a file in
    `requests`, which each process with locks lists every LISTEN_SECONDS.
    """

    def __init__(self, root: Path, requests: Path, *, timeout_seconds: float) -> None:
        """`root` holds the data files; `requests` is a directory for this purpose alone."""
        self._base = str(root.absolute()) + os.sep
        self._requests = str(requests.absolute()) + os.sep
        self._timeout_seconds = timeout_seconds
        self._holders: dict[str, Holder] = {}
        self._listener: threading.Thread | None = None
        requests.mkdir(parents=True, exist_ok=True)
        # Of waiters that were killed. Who still waits asks again.
        for request in os.listdir(requests):
            self._withdraw(request)

    @contextlib.contextmanager
    def hold(self, upload_id: str, holder: Holder) -> Iterator[None]:
        """See Locker."""
        descriptor = self._lock(check_id(upload_id))
        # Meant for the last holder, by one who was killed before the lock was free.
        self._withdraw(upload_id)
        self._holders[upload_id] = holder
        self._listen()
        try:
            yield
        finally:
            # When joined parts took the place of the file that we locked, the next one may be in.
            if self._holders.get(upload_id) is holder:
                del self._holders[upload_id]
            os.close(descriptor)

    def held(self, upload_id: str) -> bool:
        """Whether somebody holds the upload's lock now, in whatever process."""
        try:
            descriptor = self._try(self._base + check_id(upload_id))
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
        while (holder := self._holders.get(upload_id)) is not None and holder.closing():
            waited = True
            if time.monotonic() > give_up:
                break
            time.sleep(POLL_SECONDS / 4)
        return waited

    def _lock(self, upload_id: str) -> int:
        path = self._base + upload_id
        descriptor = self._try(path)
        return self._wait(upload_id, path) if descriptor is None else descriptor

    def _try(self, path: str) -> int | None:
        """Take the lock if it is free; the descriptor is the lock."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise UploadNotFound("There is no such upload.") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        # The last holder may have deleted the file between our open and our lock, or put the
        # joined parts in its place.
        if os.fstat(descriptor).st_nlink == 0:
            os.close(descriptor)
            return self._try(path)
        return descriptor

    def _wait(self, upload_id: str, path: str) -> int:
        started = asked = time.monotonic()
        self._ask(upload_id)
        try:
            while time.monotonic() - started < self._timeout_seconds:
                time.sleep(POLL_SECONDS)
                descriptor = self._try(path)
                if descriptor is not None:
                    return descriptor
                # Another newcomer may have been first, on a connection that is dead as well.
                if time.monotonic() - asked > ASK_AGAIN_SECONDS:
                    asked = time.monotonic()
                    self._ask(upload_id)
        finally:
            # Before we are a holder ourselves, or our own listener would read our own request.
            self._withdraw(upload_id)
        raise UploadLocked(
            "Another request is writing this upload and did not let go in time; try again."
        )

    def _ask(self, upload_id: str) -> None:
        holder = self._holders.get(upload_id)
        if holder is not None:
            holder.let_go()
        else:
            os.close(os.open(self._requests + upload_id, os.O_WRONLY | os.O_CREAT, 0o664))

    def _withdraw(self, upload_id: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._requests + upload_id)

    def _listen(self) -> None:
        # Started with the first lock and not before: a thread does not survive the fork in
        # which a server makes its workers.
        if self._listener is None or not self._listener.is_alive():
            self._listener = threading.Thread(target=self._answer_requests, daemon=True)
            self._listener.start()

    def _answer_requests(self) -> None:
        while True:
            time.sleep(LISTEN_SECONDS)
            if self._holders:
                for upload_id in filter(is_id, os.listdir(self._requests)):
                    self._answer(upload_id)

    def _answer(self, upload_id: str) -> None:
        holder = self._holders.get(upload_id)
        if holder is None:
            return
        holder.let_go()
        self._withdraw(upload_id)


class MemoryLocker:
    """Locks between the threads of one process, for tests and for the memory store."""

    def __init__(self, *, timeout_seconds: float, sleep: Callable[[float], None] = time.sleep):
        """Start with everything free."""
        self._timeout_seconds = timeout_seconds
        self._sleep = sleep
        self._holders: dict[str, Holder] = {}
        self._guard = threading.Lock()

    @contextlib.contextmanager
    def hold(self, upload_id: str, holder: Holder) -> Iterator[None]:
        """See Locker."""
        give_up = time.monotonic() + self._timeout_seconds
        while not self._take(upload_id, holder):
            if time.monotonic() > give_up:
                raise UploadLocked(
                    "Another request is writing this upload and did not let go in time; try again."
                )
            self._sleep(POLL_SECONDS)
        try:
            yield
        finally:
            del self._holders[upload_id]

    def settle(self, upload_id: str) -> bool:
        """See Locker; there are no connections here that could be closing."""
        return False

    def _take(self, upload_id: str, holder: Holder) -> bool:
        with self._guard:
            other = self._holders.setdefault(upload_id, holder)
        if other is not holder:
            other.let_go()
        return other is holder
