"""Uploads in chunks on the local store: their writer, and the note of what is here.

The note of an upload is a file with a head and one byte for each chunk:

    32 bytes   the boot of the machine in which it was written
     8 bytes   how many bytes came one behind the other from the start
     8 bytes   how many of these are known to survive a loss of power
    16 bytes   nothing
    then, for each chunk, a byte: missing, written, or known to survive a loss of power

After another boot only that counts which is known to have survived: a note may have reached the
disk before the bytes that it tells of. docs/storage.md has the whole walk.
"""

import functools
import os
import struct
from dataclasses import replace
from pathlib import Path

from tusd_server.errors import StorageFull
from tusd_server.hashing import Hash
from tusd_server.info import UploadInfo
from tusd_server.storage.files import FULL, Offload, locked
from tusd_server.storage.received import MISSING, SYNCED, WRITTEN, Received
from tusd_server.storage.writer import hash_file

_HEAD = struct.Struct("<32sQQ16x")
_NUMBER = struct.Struct("<Q")
_RUN_AT = 32
_SYNCED_RUN_AT = 40
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@functools.cache
def this_boot() -> bytes:
    """A name of the time since the machine was started; empty where the kernel gives none."""
    try:
        return _BOOT_ID.read_bytes().replace(b"-", b"").strip()[:32]
    except OSError:
        return b""


def knows_boots() -> bool:
    """Whether a later boot can be told from this one."""
    return this_boot() != b""


def new_note(info: UploadInfo) -> bytes:
    """The note of an upload that has just begun."""
    return _HEAD.pack(this_boot(), 0, 0) + _nothing(info).here


def read_note(content: bytes, info: UploadInfo) -> Received:
    """What a note says is here; nothing, when a loss of power left less than a note."""
    nothing = _nothing(info)
    if len(content) < _HEAD.size + nothing.total:
        return nothing
    boot, run, synced_run = _HEAD.unpack_from(content)
    here = content[_HEAD.size : _HEAD.size + nothing.total]
    if boot.rstrip(b"\0") != this_boot():
        run = synced_run
        here = here.replace(bytes([WRITTEN]), bytes([MISSING]))
    return replace(nothing, run=run, here=here)


class FileChunkWriter:
    """Writes into an open data file, and notes what is there; see storage.base.ChunkWriter."""

    def __init__(
        self, data: int, note: int, info: UploadInfo, *, sync: bool, offload: Offload
    ) -> None:
        """`data` and `note` are descriptors; with `sync` everything counted survives."""
        self._data = data
        self._note = note
        self._info = info
        self._sync = sync
        self._offload = offload
        self._bring_note_up_to_date()

    def write(self, data: memoryview, offset: int) -> None:
        """See ChunkWriter."""
        try:
            while len(data):
                written = os.pwrite(self._data, data, offset)
                offset += written
                data = data[written:]
        except OSError as error:
            if error.errno in FULL:
                raise StorageFull(
                    "The disk is full; nothing of this chunk is kept.", offset=offset
                ) from error
            raise

    def read(self, size: int, offset: int) -> bytes:
        """See Readable."""
        return os.pread(self._data, size, offset)

    def hash(self, hashed: Hash, offset: int) -> None:
        """See Readable."""
        self._offload(lambda: hash_file(self._data, hashed, offset))

    def count_chunk(self, index: int) -> bool:
        """See ChunkWriter. The bytes come first: a note never tells of what is not there."""
        self._sync_file(self._data)
        with locked(self._note):
            received = self._received()
            if received.has(index):
                return True
            if received.with_chunk(index).complete:
                return False
            self._put_note(bytes([SYNCED if self._sync else WRITTEN]), _HEAD.size + index)
        self._sync_file(self._note)
        return True

    def count_run(self, end: int) -> None:
        """See ChunkWriter."""
        if not self._received().with_run(end).complete:
            self._put_note(_NUMBER.pack(end), _RUN_AT)

    def sync(self) -> None:
        """See ChunkWriter."""
        if self._sync:
            self._sync_file(self._data)
            self._put_note(_NUMBER.pack(self._received().run), _SYNCED_RUN_AT)
            self._sync_file(self._note)

    def _received(self) -> Received:
        return read_note(self._content(), self._info)

    def _content(self) -> bytes:
        return os.pread(self._note, os.fstat(self._note).st_size, 0)

    def _bring_note_up_to_date(self) -> None:
        """Make a note that was lost, and take over what still counts of an earlier boot's."""
        if _is_of_this_boot(self._content(), self._info):
            return
        with locked(self._note):
            content = self._content()
            if _is_of_this_boot(content, self._info):
                return
            received = read_note(content, self._info)
            # The name of this boot comes last: until then the note counts as the old one.
            self._put_note(_NUMBER.pack(received.run) * 2 + bytes(16) + received.here, _RUN_AT)
            self._put_note(this_boot().ljust(_RUN_AT, b"\0"), 0)

    def _put_note(self, content: bytes, offset: int) -> None:
        try:
            while content:
                written = os.pwrite(self._note, content, offset)
                content, offset = content[written:], offset + written
        except OSError as error:
            if error.errno in FULL:
                raise StorageFull("The disk has no room to note which bytes are here.") from error
            raise

    def _sync_file(self, descriptor: int) -> None:
        if self._sync:
            self._offload(lambda: os.fdatasync(descriptor))


def _is_of_this_boot(content: bytes, info: UploadInfo) -> bool:
    whole = _HEAD.size + _nothing(info).total
    return len(content) >= whole and content[:_RUN_AT].rstrip(b"\0") == this_boot()


def _nothing(info: UploadInfo) -> Received:
    return Received.nothing(info.length or 0, info.chunk_size or 1)
