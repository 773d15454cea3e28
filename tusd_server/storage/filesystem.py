"""The local store: one data file and one `.info` file for each upload, laid out as tusd does.

Two rules make it safe against crashes. The offset is the data file's size, so the two can never
disagree. An info file is written under a temporary name and renamed, so it is old or new, never
half. docs/storage.md walks through every crash.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tusd_server.errors import StorageFull, UploadGone, UploadNotFound
from tusd_server.info import Refusal, UploadInfo, check_id, is_id
from tusd_server.settings import Durability
from tusd_server.storage.base import Writer

Offload = Callable[[Callable[[], None]], None]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def directly(work: Callable[[], None]) -> None:
    """Run blocking work right here; an event loop's server brings its own way."""
    work()


class FilesystemStore:
    """Uploads in one directory; implements DataStore, Terminates and Local."""

    def __init__(
        self, root: Path, *, durability: Durability = "finish", offload: Offload = directly
    ) -> None:
        """`offload` runs calls that block on the disk, such as fdatasync, off the event loop."""
        self.root = root.absolute()
        self._base = str(self.root) + os.sep
        self._durability = durability
        self._offload = offload
        self.root.mkdir(parents=True, exist_ok=True)

    def create(self, info: UploadInfo) -> None:
        """See DataStore. The data file comes first: without its info file it does not exist."""
        data = self._data(info.id)
        try:
            os.close(os.open(data, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o664))
            self._write_info(info, sync=self._durability == "chunk")
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(data)
            if error.errno in _FULL:
                raise StorageFull("The disk has no room for a new upload.") from error
            raise

    def look(self, upload_id: str) -> UploadInfo:
        """See DataStore."""
        data = self._data(check_id(upload_id))
        try:
            with open(data + ".info", "rb") as file:
                info = UploadInfo.from_json(file.read())
        except (FileNotFoundError, ValueError):
            raise UploadNotFound("There is no such upload.") from None
        if info.refusal is not None:
            return info
        try:
            return info.at(os.stat(data).st_size)
        except FileNotFoundError:
            return _handed_over(info)

    @contextlib.contextmanager
    def writer(self, info: UploadInfo) -> Iterator[Writer]:
        """See DataStore."""
        try:
            descriptor = os.open(self._data(info.id), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise UploadNotFound("There is no such upload.") from None
        try:
            yield FileWriter(descriptor, info.offset, self._durability, self._offload)
        finally:
            os.close(descriptor)

    def finish(self, info: UploadInfo) -> None:
        """See DataStore."""
        if self._durability == "none":
            return
        data = self._data(info.id)

        def sync() -> None:
            for path in (data, data + ".info", self.root):
                _sync_path(path)

        with contextlib.suppress(FileNotFoundError):  # handed over, hence durable, already
            self._offload(sync)

    def refuse(self, info: UploadInfo, refusal: Refusal) -> None:
        """See DataStore. The refusal is written first: no crash makes the upload resumable."""
        self._write_info(replace(info, refusal=refusal), sync=self._durability != "none")
        _unlink(self._data(info.id))
        if info.path is not None:
            _unlink(info.path)

    def remove(self, info: UploadInfo) -> None:
        """See Terminates. The info file goes first: without it the upload does not exist."""
        data = self._data(info.id)
        _unlink(data + ".info")
        _unlink(data)
        if info.path is not None:
            _unlink(info.path)

    def path(self, info: UploadInfo) -> Path:
        """See Local. Between the two steps of a hand-over the old place is still right."""
        if info.path is not None and os.path.exists(info.path):
            return Path(info.path)
        return Path(self._data(info.id))

    def info_path(self, info: UploadInfo) -> Path:
        """See Local."""
        return Path(self._data(info.id) + ".info")

    def hand_over(self, info: UploadInfo, destination: Path) -> None:
        """See Local. First the info names the new place, then the file moves there.

        In between, `path` and `look` find the file in the old place.
        """
        destination.parent.mkdir(parents=True, exist_ok=True)
        durable = self._durability != "none"
        if info.path != str(destination):
            self._write_info(replace(info, path=str(destination)), sync=durable)
        with contextlib.suppress(FileNotFoundError):  # an earlier call has moved it
            os.rename(self._data(info.id), destination)
        if not destination.exists():
            _unlink(self._data(info.id) + ".info")
            raise UploadNotFound("The upload was deleted before its bytes could be moved.")
        if durable:
            _sync_path(destination.parent)

    def all(self) -> Iterator[UploadInfo]:
        """See DataStore."""
        with os.scandir(self.root) as entries:
            ids = [name.name[:-5] for name in entries if name.name.endswith(".info")]
        for upload_id in ids:
            if is_id(upload_id):
                with contextlib.suppress(UploadNotFound, UploadGone):
                    yield self.look(upload_id)

    def _data(self, upload_id: str) -> str:
        """The one place where an id becomes a path; anything that is no plain id is refused."""
        return self._base + check_id(upload_id)

    def _write_info(self, info: UploadInfo, *, sync: bool) -> None:
        data = self._data(info.id)
        # One temporary name is enough: whoever writes an info file holds the upload's lock, or
        # is the only one to know its id. A leading dot keeps it out of `all`.
        temporary = f"{self._base}.{info.id}.info.new"
        document = info.to_json(data).encode()

        def write() -> None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o664), "wb") as file:
                file.write(document)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            os.rename(temporary, data + ".info")
            if sync:
                _sync_path(self.root)

        if sync:
            self._offload(write)
        else:
            write()


class FileWriter:
    """Appends to an open data file; see Writer."""

    def __init__(
        self, descriptor: int, offset: int, durability: Durability, offload: Offload
    ) -> None:
        """The file is `offset` bytes long."""
        self._descriptor = descriptor
        self._durability = durability
        self._offload = offload
        self.offset = offset

    def write(self, data: memoryview) -> None:
        """See Writer."""
        try:
            while len(data):
                written = os.pwrite(self._descriptor, data, self.offset)
                self.offset += written
                data = data[written:]
        except OSError as error:
            if error.errno in _FULL:
                raise StorageFull(
                    "The disk is full; the bytes up to Upload-Offset are kept.",
                    offset=self.offset,
                ) from error
            raise

    def head(self, size: int) -> bytes:
        """See Writer."""
        return os.pread(self._descriptor, size, 0)

    def cut(self, offset: int) -> None:
        """See Writer."""
        os.ftruncate(self._descriptor, offset)
        self.offset = offset

    def sync(self) -> None:
        """See Writer; only where the operator wants it before every answer."""
        if self._durability == "chunk":
            self._offload(lambda: os.fdatasync(self._descriptor))


def _handed_over(info: UploadInfo) -> UploadInfo:
    if info.path is None:
        raise UploadNotFound("There is no such upload.")
    if not os.path.exists(info.path):
        raise UploadGone("The upload is complete and its bytes have been deleted.")
    return info.at(info.length)


def _sync_path(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
