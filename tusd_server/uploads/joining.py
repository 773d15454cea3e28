"""Concatenation: one upload made of others, now or when the last of them is complete."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hooks.events import RequestFacts
from tusd_server.errors import BadHeader, UploadError, UploadNotFound, UploadTooLarge
from tusd_server.hashing import Hash
from tusd_server.info import UploadInfo
from tusd_server.locks import Locker
from tusd_server.storage.base import Concatenates, DataStore, Terminates
from tusd_server.uploads.receiving import Receiver


class Bystander:
    """Holds a lock for work that is over soon and is not interrupted."""

    def let_go(self) -> None:
        """Go on."""

    def closing(self) -> bool:
        """There is no connection."""
        return False


class Parts:
    """The bytes of finished parts, one behind the other; see storage.base.Readable."""

    def __init__(self, store: DataStore, parts: Sequence[UploadInfo]) -> None:
        """Nothing is opened yet."""
        self._store = store
        self._parts = parts

    def read(self, size: int, offset: int) -> bytes:
        """See Readable."""
        found = b""
        for part, begin in self._from(offset):
            if len(found) < size:
                with self._store.writer(part) as opened:
                    found += opened.read(size - len(found), begin)
        return found

    def hash(self, hashed: Hash, offset: int) -> None:
        """See Readable."""
        for part, begin in self._from(offset):
            with self._store.writer(part) as opened:
                opened.hash(hashed, begin)

    def _from(self, offset: int) -> Iterator[tuple[UploadInfo, int]]:
        for part in self._parts:
            if offset < part.offset:
                yield part, offset
            offset = max(0, offset - part.offset)


class Joining:
    """Joins the parts of final uploads; does nothing on a store that cannot."""

    def __init__(self, store: DataStore, locker: Locker, receiver: Receiver, max_size: int) -> None:
        """`max_size` bounds the whole in bytes; `receiver` judges it."""
        self._store = store
        self._locker = locker
        self._receiver = receiver
        self._max_size = max_size

    def check_possible(self) -> None:
        """Raise BadHeader on a store that cannot join: a part would stay one for ever."""
        if not isinstance(self._store, Concatenates):
            raise BadHeader("Upload-Concat is not supported; send the file as one upload.")

    def length(self, parts: Sequence[UploadInfo]) -> int | None:
        """The whole's length; None while a part's is not known.

        Raises BadHeader for an upload that is no part, UploadTooLarge for too large a whole.
        """
        if not all(part.partial for part in parts):
            raise BadHeader("Upload-Concat names an upload that was not created as `partial`.")
        lengths = [part.length for part in parts if part.length is not None]
        if sum(lengths) > self._max_size:
            raise UploadTooLarge(
                f"The parts have {sum(lengths)} bytes together; "
                f"at most {self._max_size} bytes are allowed."
            )
        return sum(lengths) if len(lengths) == len(parts) else None

    def wait_for(self, info: UploadInfo, parts: Sequence[UploadInfo]) -> None:
        """Remember that `info` is to be joined when its last part is complete."""
        if isinstance(self._store, Concatenates):
            for part in parts:
                self._store.await_part(part, info)

    def waiting(self, part: UploadInfo) -> Sequence[UploadInfo]:
        """The uploads that are to be made of this part and others."""
        if not isinstance(self._store, Concatenates):
            return ()
        found = []
        for upload_id in self._store.awaiting(part):
            try:
                info = self._store.look(upload_id)
            except UploadError:  # deleted or expired meanwhile
                continue
            if not info.finished and info.refusal is None:
                found.append(info)
        return found

    def measured(self, info: UploadInfo) -> UploadInfo:
        """The upload with its length, as soon as that of each part has been told.

        "The Upload-Length header MUST be included if the length of the final resource can be
        calculated at the time of the request."
        """
        try:
            return replace(info, length=self.length([self._store.look(p) for p in info.parts]))
        except UploadError:  # a part is gone, or the whole too large: there is nothing to tell
            return info

    def attempt(self, info: UploadInfo, request: RequestFacts) -> UploadInfo | None:
        """Join if every part is complete; the joined upload, None if it is not to be (again).

        Raises UploadRefused when the whole is not accepted.
        """
        parts = self._parts(info)
        if parts is None or not isinstance(self._store, Concatenates):
            return None
        try:
            return self._join(info, parts, request, self._store)
        except UploadNotFound:  # joined by another, and handed over before we had the lock
            return None

    def _join(
        self,
        info: UploadInfo,
        parts: Sequence[UploadInfo],
        request: RequestFacts,
        store: Concatenates,
    ) -> UploadInfo | None:
        with self._locker.hold(info.id, Bystander()):
            info = self._store.look(info.id)
            # One of empty parts looks finished before it is joined; that may be done again.
            if info.offset > 0 or info.refusal is not None:
                return None
            length = self.length(parts)
            if length != info.length:
                info = replace(info, length=length)
                self._store.update(info)
            joined = info.at(length or 0)
            self._receiver.check_parts(joined, Parts(self._store, parts), request)
            store.concatenate(info, parts)
        return joined

    def clean_up(self, info: UploadInfo) -> None:
        """Delete the parts of an upload that is joined, durable and handed over.

        One of which another upload is still to be made is kept for that.
        """
        if not isinstance(self._store, Terminates):
            return
        for upload_id in dict.fromkeys(info.parts):
            try:
                part = self._store.look(upload_id)
            except UploadError:  # deleted or expired meanwhile
                continue
            if all(other.id == info.id for other in self.waiting(part)):
                self._store.remove(part)

    def _parts(self, info: UploadInfo) -> list[UploadInfo] | None:
        """All parts, if all are complete."""
        try:
            parts = [self._store.look(part) for part in info.parts]
        except UploadError:
            return None
        return parts if all(part.finished and part.refusal is None for part in parts) else None
