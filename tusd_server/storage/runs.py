"""RunWriter: appends to an upload in chunks, as tus does."""

from tusd_server.errors import StorageFull
from tusd_server.hashing import Hash
from tusd_server.storage.base import ChunkWriter
from tusd_server.storage.received import Received


class RunWriter:
    """Fills the holes from `offset` on, one byte behind the other; see storage.base.Writer.

    The last missing byte is written but not counted: that is for `TakesChunks.complete`.
    """

    def __init__(self, places: ChunkWriter, received: Received, offset: int) -> None:
        """`received` is what is here; under the upload's lock nobody else adds to it."""
        self._places = places
        self._received = received
        self._trusted = True
        self.offset = offset

    def write(self, data: memoryview) -> None:
        """See Writer. What is here already is kept: these bytes may prove to be damaged."""
        try:
            while len(data):
                index = self.offset // self._received.chunk_size
                size = min(len(data), self._received.bounds(index)[1] - self.offset)
                if not self._received.has(index):
                    self._places.write(data[:size], self.offset)
                self.offset += size
                data = data[size:]
        except StorageFull as error:
            self.offset = self.offset if error.offset is None else error.offset
            self._count()
            raise StorageFull(
                "The disk is full; the bytes up to Upload-Offset are kept.",
                offset=self._received.with_run(self.offset).offset,
            ) from error
        self._count()

    def read(self, size: int, offset: int) -> bytes:
        """See Readable."""
        return self._places.read(size, offset)

    def hash(self, hashed: Hash, offset: int) -> None:
        """See Readable."""
        self._places.hash(hashed, offset)

    def distrust(self) -> None:
        """See Writer. Nothing counts here that is not counted."""
        self._trusted = False

    def trust(self) -> None:
        """See Writer."""
        self._trusted = True
        self._count()

    def cut(self, offset: int) -> None:
        """See Writer."""
        self.offset = offset
        self.trust()

    def sync(self) -> None:
        """See Writer."""
        self._places.sync()

    def _count(self) -> None:
        if self._trusted:
            self._places.count_run(self.offset)
