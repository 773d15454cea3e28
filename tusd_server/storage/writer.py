"""FileWriter: appends to one data file."""

import contextlib
import os

from tusd_server.errors import StorageFull
from tusd_server.hashing import Hash
from tusd_server.settings import Durability
from tusd_server.storage.files import FULL, Offload, reserve, unlink

HASH_BYTES = 1024 * 1024


class FileWriter:
    """Appends to an open data file; see storage.base.Writer."""

    def __init__(
        self,
        descriptor: int,
        offset: int,
        *,
        length: int,
        note: str,
        durability: Durability,
        offload: Offload,
    ) -> None:
        """The file counts up to `offset`; `note` is where unverified bytes are remembered.

        `length` is how much of the disk is reserved for it in bytes.
        """
        self._descriptor = descriptor
        self._length = length
        self._note = note
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
            if error.errno in FULL:
                raise StorageFull(
                    "The disk is full; the bytes up to Upload-Offset are kept.",
                    offset=self.offset,
                ) from error
            raise

    def read(self, size: int, offset: int) -> bytes:
        """See Writer."""
        return os.pread(self._descriptor, size, offset)

    def hash(self, hashed: Hash, offset: int) -> None:
        """See Writer."""
        self._offload(lambda: hash_file(self._descriptor, hashed, offset))

    def distrust(self) -> None:
        """See Writer. The note is complete before the first byte that it warns of."""
        try:
            with open(self._note, "w", encoding="ascii") as note:
                note.write(str(self.offset))
                if self._durability == "chunk":
                    note.flush()
                    self._offload(lambda: os.fsync(note.fileno()))
        except OSError as error:
            if error.errno in FULL:
                raise StorageFull("The disk is full.", offset=self.offset) from error
            raise

    def trust(self) -> None:
        """See Writer."""
        unlink(self._note)

    def cut(self, offset: int) -> None:
        """See Writer. The bytes go first: a crash in between leaves the note to warn of them."""
        os.ftruncate(self._descriptor, offset)
        self.offset = offset
        # A cut gives the reserved room back as well. If somebody was faster, the next write says.
        with contextlib.suppress(OSError):
            reserve(self._descriptor, self._length)
        unlink(self._note)

    def sync(self) -> None:
        """See Writer."""
        if self._durability == "chunk":
            self._offload(lambda: os.fdatasync(self._descriptor))


def hash_file(descriptor: int, hashed: Hash, offset: int) -> None:
    """Feed an open file's bytes from `offset` on to a hash."""
    while block := os.pread(descriptor, HASH_BYTES, offset):
        hashed.update(block)
        offset += len(block)
