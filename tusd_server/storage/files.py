"""What the local store does with single files."""

import contextlib
import ctypes
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

Offload = Callable[[Callable[[], None]], None]
Pause = Callable[[], None]
T = TypeVar("T")

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Below this a file is not worth a reservation: the call would cost more than the risk.
LEAST_RESERVED_BYTES = 256 * 1024

# A look at an upload takes some 50 microseconds.
PACE = 100
_COPY_BYTES = 1 << 30
_LOCK_POLL_SECONDS = 0.002
_SMALL_BYTES = 64 * 1024
_STAT_BLOCK_BYTES = 512
_FALLOC_FL_KEEP_SIZE = 1
_NO_RESERVATION = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_NO_KERNEL_COPY = frozenset({errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})

_libc = ctypes.CDLL(None, use_errno=True)


def directly(work: Callable[[], None]) -> None:
    """Run blocking work right here; an event loop's server brings its own way."""
    work()


def without_pause() -> None:
    """Go on at once; an event loop's server lets its connections run here."""


def paced(things: Iterable[T], pause: Pause) -> Iterator[T]:
    """The things, with a pause now and then, for walks through very many."""
    for number, thing in enumerate(things, 1):
        yield thing
        if number % PACE == 0:
            pause()


def reserve(descriptor: int, length: int) -> None:
    """Make sure that the disk has room for so many bytes; OSError ENOSPC when it has not.

    The file's size stays what it is. The kernel counts the reservation against everybody, so
    uploads that begin together cannot fill the disk together. Small files are only compared
    with the free space, as are all on a filesystem without reservations.
    """
    # First, because ext4 takes all there is before it says that this is not enough: until the
    # file is deleted, the disk would be full for everybody.
    free = os.fstatvfs(descriptor)
    reserved = os.fstat(descriptor).st_blocks * _STAT_BLOCK_BYTES
    if free.f_bavail * free.f_frsize < length - reserved:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if length >= LEAST_RESERVED_BYTES:
        _fallocate(descriptor, length)


def _fallocate(descriptor: int, length: int) -> None:
    # os.posix_fallocate would enlarge the file, whose size is the upload's offset.
    try:
        fallocate = _libc.fallocate64
    except AttributeError:  # musl, macOS
        return
    size = ctypes.c_longlong
    if fallocate(ctypes.c_int(descriptor), _FALLOC_FL_KEEP_SIZE, size(0), size(length)) == 0:
        return
    error = ctypes.get_errno()
    if error not in _NO_RESERVATION:
        raise OSError(error, os.strerror(error))


def write_file(path: str, temporary: str, content: bytes, *, sync: bool) -> None:
    """Write a whole file under a temporary name of the same folder and rename it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        descriptor = os.open(temporary, flags, 0o664)
        try:
            _write_all(descriptor, content)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except OSError:
        unlink(temporary)
        raise
    if sync:
        sync_path(os.path.dirname(path))


def read_file(path: str) -> bytes:
    """The whole of a small file; without the layers of `open`, which cost more than the file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.read(descriptor, _SMALL_BYTES)
        if len(content) == _SMALL_BYTES:
            while block := os.read(descriptor, _SMALL_BYTES):
                content += block
        return content
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    written = os.write(descriptor, content)
    while written < len(content):
        written += os.write(descriptor, content[written:])


def join_files(sources: Iterable[str], target: str, *, sync: bool) -> None:
    """Write the sources one after the other into a new file.

    The kernel copies, or shares the blocks where the filesystem can (XFS, Btrfs).
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    out = os.open(target, flags, 0o664)
    try:
        for source in sources:
            _append_file(out, source)
        if sync:
            os.fdatasync(out)
    finally:
        os.close(out)


def _append_file(out: int, source: str) -> None:
    into = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while _copy_some(into, out):
            pass
    finally:
        os.close(into)


def _copy_some(into: int, out: int) -> int:
    try:
        return os.copy_file_range(into, out, _COPY_BYTES)
    except OSError as error:
        if error.errno not in _NO_KERNEL_COPY:
            raise
    return os.sendfile(out, into, None, _COPY_BYTES)


def sync_path(path: str | Path) -> None:
    """Return when this file or directory survives a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unlink(path: str) -> None:
    """Delete a file; one that is not there is no error."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


@contextlib.contextmanager
def locked(descriptor: int) -> Iterator[None]:
    """Hold the lock of an open file or directory, for work that is over at once."""
    # Not waited for in the kernel: that would stop every connection of this process.
    while not _try_lock(descriptor):
        time.sleep(_LOCK_POLL_SECONDS)
    try:
        yield
    finally:
        # gevent puts off the closing of what is no regular file, and the lock would last as long.
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
