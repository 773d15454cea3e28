"""The reference store: the promises of DataStore in one screen, for tests and for reading."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from tusd_server.errors import UploadGone, UploadNotFound
from tusd_server.hashing import Hash
from tusd_server.info import Refusal, UploadInfo, check_id, now_utc
from tusd_server.storage.base import Writer


class MemoryStore:
    """Uploads in dictionaries; has every ability but Local."""

    def __init__(self) -> None:
        """Start empty."""
        self._infos: dict[str, UploadInfo] = {}
        self._bytes: dict[str, bytearray] = {}
        self._trusted: dict[str, int] = {}
        self._awaited: dict[str, dict[str, None]] = {}
        self._keys: dict[tuple[str, str], str] = {}

    def create(self, info: UploadInfo) -> None:
        """See DataStore."""
        self._infos[check_id(info.id)] = replace(info, touched_at=now_utc())
        self._bytes[info.id] = bytearray()

    def look(self, upload_id: str) -> UploadInfo:
        """See DataStore."""
        info = self._infos.get(check_id(upload_id))
        if info is None:
            raise UploadNotFound("There is no such upload.")
        if info.refusal is None and upload_id not in self._bytes:
            raise UploadGone("The upload has expired; begin a new one.")
        size = len(self._bytes.get(upload_id, b""))
        return info.at(self._trusted.get(upload_id, size))

    def update(self, info: UploadInfo) -> None:
        """See DataStore."""
        self._infos[info.id] = info

    @contextlib.contextmanager
    def writer(self, info: UploadInfo) -> Iterator[Writer]:
        """See DataStore."""
        self.look(info.id)
        writer = MemoryWriter(info.id, self._bytes[info.id], self._trusted)
        if info.id in self._trusted:
            writer.cut(self._trusted[info.id])
        offset = writer.offset
        try:
            yield writer
        finally:
            # It may have been refused or removed meanwhile.
            if writer.offset != offset and info.id in self._bytes:
                self._infos[info.id] = replace(self._infos[info.id], touched_at=now_utc())

    def finish(self, info: UploadInfo) -> None:
        """See DataStore; memory survives nothing."""

    def refuse(self, info: UploadInfo, refusal: Refusal) -> None:
        """See DataStore."""
        self._infos[info.id] = replace(info, refusal=refusal, touched_at=now_utc())
        self._drop_bytes(info)

    def remove(self, info: UploadInfo) -> None:
        """See Terminates."""
        self._infos.pop(info.id, None)
        self._drop_bytes(info)

    def expire(self, info: UploadInfo) -> None:
        """See Expires."""
        self._infos[info.id] = replace(info, touched_at=now_utc())
        self._drop_bytes(info)

    def forget(self, *, gone_since: datetime, finished_since: datetime) -> int:
        """See Expires; nothing is ever handed over here."""
        gone = [
            info.id
            for info in self._infos.values()
            if info.id not in self._bytes and info.touched_at and info.touched_at < gone_since
        ]
        for upload_id in gone:
            del self._infos[upload_id]
        return len(gone)

    def concatenate(self, info: UploadInfo, parts: Sequence[UploadInfo]) -> None:
        """See Concatenates."""
        self._bytes[info.id] = bytearray().join(self._bytes[part.id] for part in parts)

    def await_part(self, part: UploadInfo, info: UploadInfo) -> None:
        """See Concatenates."""
        self._awaited.setdefault(part.id, {})[info.id] = None

    def awaiting(self, part: UploadInfo) -> Sequence[str]:
        """See Concatenates."""
        return tuple(self._awaited.get(part.id, ()))

    def made_with_key(self, owner: str, key: str) -> str | None:
        """See RemembersKeys."""
        return self._keys.get((owner, key))

    def claim_key(self, owner: str, key: str, upload_id: str, instead_of: str | None) -> str:
        """See RemembersKeys."""
        if instead_of is not None and self._keys.get((owner, key)) == instead_of:
            self._keys[owner, key] = upload_id
        return self._keys.setdefault((owner, key), upload_id)

    def unfinished_of(self, owner: str) -> Sequence[UploadInfo]:
        """See KnowsOwners."""
        mine = (i for i in self.all() if i.owner == owner and i.refusal is None)
        return [info for info in mine if info.partial or not info.finished]

    def all(self) -> Iterator[UploadInfo]:
        """See DataStore."""
        for upload_id in list(self._infos):
            with contextlib.suppress(UploadGone, UploadNotFound):
                yield self.look(upload_id)

    def _drop_bytes(self, info: UploadInfo) -> None:
        for notes in (self._bytes, self._trusted, self._awaited):
            notes.pop(info.id, None)


class MemoryWriter:
    """Appends to a bytearray; see Writer."""

    def __init__(self, upload_id: str, data: bytearray, trusted: dict[str, int]) -> None:
        """Append behind what `data` holds; `trusted` notes up to where bytes count."""
        self._id = upload_id
        self._data = data
        self._trusted = trusted

    @property
    def offset(self) -> int:
        """See Writer."""
        return len(self._data)

    def write(self, data: memoryview) -> None:
        """See Writer."""
        self._data += data

    def read(self, size: int, offset: int) -> bytes:
        """See Writer."""
        return bytes(self._data[offset : offset + size])

    def hash(self, hashed: Hash, offset: int) -> None:
        """See Writer."""
        hashed.update(bytes(self._data[offset:]))

    def distrust(self) -> None:
        """See Writer."""
        self._trusted[self._id] = self.offset

    def trust(self) -> None:
        """See Writer."""
        self._trusted.pop(self._id, None)

    def cut(self, offset: int) -> None:
        """See Writer."""
        del self._data[offset:]
        self.trust()

    def sync(self) -> None:
        """See Writer; memory survives nothing."""
