"""The reference store: the promises of DataStore in one screen, for tests and for reading."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from tusd_server.errors import UploadNotFound
from tusd_server.info import Refusal, UploadInfo, check_id
from tusd_server.storage.base import Writer


class MemoryStore:
    """Uploads in two dictionaries; implements DataStore and Terminates."""

    def __init__(self) -> None:
        """Start empty."""
        self._infos: dict[str, UploadInfo] = {}
        self._bytes: dict[str, bytearray] = {}

    def create(self, info: UploadInfo) -> None:
        """See DataStore."""
        self._infos[check_id(info.id)] = info
        self._bytes[info.id] = bytearray()

    def look(self, upload_id: str) -> UploadInfo:
        """See DataStore."""
        try:
            return self._infos[check_id(upload_id)].at(len(self._bytes[upload_id]))
        except KeyError:
            raise UploadNotFound("There is no such upload.") from None

    @contextlib.contextmanager
    def writer(self, info: UploadInfo) -> Iterator[Writer]:
        """See DataStore."""
        self.look(info.id)
        yield MemoryWriter(self._bytes[info.id])

    def finish(self, info: UploadInfo) -> None:
        """See DataStore; memory survives nothing."""

    def refuse(self, info: UploadInfo, refusal: Refusal) -> None:
        """See DataStore."""
        self._infos[info.id] = replace(info, refusal=refusal)
        self._bytes[info.id] = bytearray()

    def remove(self, info: UploadInfo) -> None:
        """See Terminates."""
        self._infos.pop(info.id, None)
        self._bytes.pop(info.id, None)

    def all(self) -> Iterator[UploadInfo]:
        """See DataStore."""
        for upload_id in list(self._infos):
            yield self.look(upload_id)


class MemoryWriter:
    """Appends to a bytearray; see Writer."""

    def __init__(self, data: bytearray) -> None:
        """Append behind what `data` holds."""
        self._data = data

    @property
    def offset(self) -> int:
        """See Writer."""
        return len(self._data)

    def write(self, data: memoryview) -> None:
        """See Writer."""
        self._data += data

    def head(self, size: int) -> bytes:
        """See Writer."""
        return bytes(self._data[:size])

    def cut(self, offset: int) -> None:
        """See Writer."""
        del self._data[offset:]

    def sync(self) -> None:
        """See Writer; memory survives nothing."""
