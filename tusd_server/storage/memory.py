"""The reference store: the promises of DataStore in one screen, for tests and for reading."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from tusd_server.errors import UploadGone, UploadNotFound
from tusd_server.hashing import Hash
from tusd_server.info import Refusal, UploadInfo, check_id, now_utc
from tusd_server.storage.base import ChunkWriter, Writer
from tusd_server.storage.received import Received
from tusd_server.storage.runs import RunWriter


class MemoryStore:
    """Uploads in dictionaries; has every ability but Local."""

    def __init__(self) -> None:
        """Start empty."""
        self._infos: dict[str, UploadInfo] = {}
        self._bytes: dict[str, bytearray] = {}
        self._trusted: dict[str, int] = {}
        self._received: dict[str, Received] = {}
        self._guard = threading.Lock()
        self._awaited: dict[str, dict[str, None]] = {}
        self._keys: dict[tuple[str, str], str] = {}

    def create(self, info: UploadInfo) -> None:
        """See DataStore."""
        self._infos[check_id(info.id)] = replace(info, touched_at=now_utc())
        self._bytes[info.id] = bytearray()
        if info.in_chunks:
            self._received[info.id] = Received.nothing(info.length or 0, info.chunk_size or 1)

    def look(self, upload_id: str) -> UploadInfo:
        """See DataStore."""
        info = self._infos.get(check_id(upload_id))
        if info is None:
            raise UploadNotFound("There is no such upload.")
        if info.refusal is None and upload_id not in self._bytes:
            raise UploadGone("The upload has expired; begin a new one.")
        if info.in_chunks and info.refusal is None:
            return info.at(self._received[upload_id].offset)
        size = len(self._bytes.get(upload_id, b""))
        return info.at(self._trusted.get(upload_id, size))

    def update(self, info: UploadInfo) -> None:
        """See DataStore."""
        self._infos[info.id] = info

    @contextlib.contextmanager
    def writer(self, info: UploadInfo) -> Iterator[Writer]:
        """See DataStore."""
        if info.in_chunks:
            with self.chunk_writer(info) as places:
                yield RunWriter(places, self.received(info), info.offset)
            return
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

    def received(self, info: UploadInfo) -> Received:
        """See TakesChunks."""
        nothing = Received.nothing(info.length or 0, info.chunk_size or 1)
        return self._received.get(info.id, nothing)

    @contextlib.contextmanager
    def chunk_writer(self, info: UploadInfo) -> Iterator[ChunkWriter]:
        """See TakesChunks."""
        self.look(info.id)
        yield MemoryChunkWriter(info.id, self._bytes[info.id], self._received, self._guard)
        if info.id in self._bytes:
            self._infos[info.id] = replace(self._infos[info.id], touched_at=now_utc())

    def complete(self, info: UploadInfo) -> UploadInfo:
        """See TakesChunks."""
        whole = replace(info, chunks_complete=True).at(info.length or 0)
        self._infos[info.id] = whole
        return whole

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
        for notes in (self._bytes, self._trusted, self._received, self._awaited):
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


class MemoryChunkWriter:
    """Writes anywhere in a bytearray; see ChunkWriter."""

    def __init__(
        self,
        upload_id: str,
        data: bytearray,
        received: dict[str, Received],
        guard: threading.Lock,
    ) -> None:
        """`received` notes what counts; `guard` keeps those apart who note at once."""
        self._guard = guard
        self._id = upload_id
        self._data = data
        self._received = received

    def write(self, data: memoryview, offset: int) -> None:
        """See ChunkWriter."""
        with self._guard:
            self._data += bytes(max(0, offset - len(self._data)))
            self._data[offset : offset + len(data)] = data

    def read(self, size: int, offset: int) -> bytes:
        """See Readable."""
        return bytes(self._data[offset : offset + size])

    def hash(self, hashed: Hash, offset: int) -> None:
        """See Readable."""
        hashed.update(bytes(self._data[offset:]))

    def count_chunk(self, index: int) -> bool:
        """See ChunkWriter."""
        with self._guard:
            before = self._received[self._id]
            after = before.with_chunk(index)
            if not after.complete:
                self._received[self._id] = after
        return before.has(index) or not after.complete

    def count_run(self, end: int) -> None:
        """See ChunkWriter."""
        now = self._received[self._id].with_run(end)
        if not now.complete:
            self._received[self._id] = now

    def sync(self) -> None:
        """See ChunkWriter; memory survives nothing."""
