"""SHA-256 of whole files, worked out while their bytes arrive."""

import hashlib
from collections import OrderedDict

from tusd_server.errors import UploadRefused
from tusd_server.hashing import Hash
from tusd_server.info import UploadInfo
from tusd_server.storage.base import Readable

DIGEST_MISMATCH = "digest_mismatch"

# A hash under way is about 400 bytes; the oldest is given up first, and costs a second reading.
MOST_RUNNING = 10_000


class Digests:
    """The hashes of uploads under way whose client declared a digest.

    A hash lives in one process, an upload may visit several: what is missing is read again at
    the end, once.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._running: OrderedDict[str, tuple[int, Hash]] = OrderedDict()

    def resume(self, info: UploadInfo) -> Hash | None:
        """The hash to be fed with this upload's next bytes; None when there is none to feed."""
        if info.sha256 is None:
            return None
        offset, running = self._running.pop(info.id, (0, hashlib.sha256()))
        return running if offset == info.offset else None

    def keep(self, info: UploadInfo, running: Hash) -> None:
        """Remember a hash of the bytes up to `info.offset`."""
        self._running[info.id] = (info.offset, running)
        if len(self._running) > MOST_RUNNING:
            self._running.popitem(last=False)

    def check(
        self,
        info: UploadInfo,
        running: Hash | None,
        readable: Readable,
        *,
        last: memoryview | bytes = b"",
    ) -> None:
        """Raise UploadRefused unless the complete upload has the declared digest.

        `running` is the hash of all its bytes, where there is one; else they are those of
        `readable`, and `last` behind them.
        """
        if info.sha256 is None:
            return
        if running is None:
            running = hashlib.sha256()
            readable.hash(running, 0)
            running.update(last)
        if running.digest().hex() != info.sha256:
            raise UploadRefused(
                f"The file does not have the SHA-256 {info.sha256} that was declared for it; "
                "upload it anew.",
                code=DIGEST_MISMATCH,
            )
