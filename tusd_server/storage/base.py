"""What a store promises to the rest of the program.

Division of duty: `web` and `protocol` have checked the request, `uploads` has checked owner,
offset and length and holds the upload's lock whenever it calls a method that writes. A store
keeps bytes and facts, and knows nothing of requests, users or networks.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from tusd_server.hashing import Hash
from tusd_server.info import Refusal, UploadInfo
from tusd_server.storage.received import Received


class Readable(Protocol):
    """Bytes that can be judged: an upload's, or those of which one will be made."""

    def read(self, size: int, offset: int) -> bytes:
        """At most `size` of the bytes from `offset` on."""

    def hash(self, hashed: Hash, offset: int) -> None:
        """Feed the bytes from `offset` on to a hash; may take long, blocks no other."""


class Writer(Readable, Protocol):
    """Appends to one upload; made by `DataStore.writer`, used under the upload's lock."""

    @property
    def offset(self) -> int:
        """Bytes that the upload holds now."""

    def write(self, data: memoryview) -> None:
        """Append all of `data`, or raise StorageFull with what fitted kept and counted.

        After a crash of the process every byte whose `write` returned is still there; after a
        loss of power those before the last `sync`.
        """

    def distrust(self) -> None:
        """From here on bytes count only after `trust`; a crash before it takes them back."""

    def trust(self) -> None:
        """Count the bytes since `distrust`."""

    def cut(self, offset: int) -> None:
        """Forget the bytes from `offset` on, and end `distrust`."""

    def sync(self) -> None:
        """Return when all bytes written so far survive a loss of power.

        Only where the operator wants that before every answer; `DataStore.finish` does it
        before the last one.
        """


class ChunkWriter(Readable, Protocol):
    """Writes anywhere in one upload in chunks; made by `TakesChunks.chunk_writer`.

    Chunks are written and counted under the upload's shared lock, a run under its own.
    """

    def write(self, data: memoryview, offset: int) -> None:
        """Put all of `data` at its offset; it does not count yet.

        Raises StorageFull, whose offset is that of the first byte that did not fit.
        """

    def count_chunk(self, index: int) -> bool:
        """Count a chunk of which every byte is written; as durable as `Writer.sync` makes it.

        False, and not counted, when it is the last one missing: an upload is made complete by
        `TakesChunks.complete` alone. Of chunks counted at once one is the last.
        """

    def count_run(self, end: int) -> None:
        """Count the bytes from the start to `end` and, of single bytes, none behind it.

        Does nothing when no byte would be missing then.
        """

    def sync(self) -> None:
        """See Writer: for the bytes of the run."""


class DataStore(Protocol):
    """The least a store must do: keep uploads that are created, appended to and looked at."""

    def create(self, info: UploadInfo) -> None:
        """Keep a new, empty upload; `info.id` is fresh. Reserves room for its length.

        Raises StorageFull when there is no room. After a crash in between there is either the
        whole upload or none that can be looked at.
        """

    def look(self, upload_id: str) -> UploadInfo:
        """The upload's facts, its offset counted from the bytes themselves.

        Raises UploadNotFound, and UploadGone when its bytes expired, or were deleted after the
        hand-over. Takes no lock; during a write the offset is a moment's truth.
        """

    def update(self, info: UploadInfo) -> None:
        """Keep changed facts (a length that was deferred, an owner); the old ones or the new."""

    def writer(self, info: UploadInfo) -> AbstractContextManager[Writer]:
        """Open the upload for appending at `info.offset`; the caller holds its lock."""

    def finish(self, info: UploadInfo) -> None:
        """Return when the complete upload, bytes and facts, survives a loss of power.

        Does nothing where the operator chose no durability. Idempotent.
        """

    def refuse(self, info: UploadInfo, refusal: Refusal) -> None:
        """Drop the bytes for good and remember why; `look` then shows the refusal. Idempotent."""

    def all(self) -> Iterator[UploadInfo]:
        """Every upload that is not handed over, in no order; what is unreadable is left out."""


@runtime_checkable
class Terminates(Protocol):
    """A store that can forget an upload: the termination extension."""

    def remove(self, info: UploadInfo) -> None:
        """Forget the upload, bytes and facts; one that is gone already is no error."""


@runtime_checkable
class Expires(Protocol):
    """A store that can drop what nobody finishes: the expiration extension."""

    def expire(self, info: UploadInfo) -> None:
        """Drop the bytes and remember that they expired: `look` raises UploadGone. Idempotent."""

    def forget(self, *, gone_since: datetime, finished_since: datetime) -> int:
        """Forget uploads refused or expired before `gone_since`, or handed over before
        `finished_since`; how many. Their URLs are 404 from then on.
        """


@runtime_checkable
class Concatenates(Protocol):
    """A store that can make one upload of others: concatenation and concatenation-unfinished."""

    def concatenate(self, info: UploadInfo, parts: Sequence[UploadInfo]) -> None:
        """Make the finished parts' bytes those of `info`, in order; all of them or none.

        The parts are left as they are. Idempotent; raises StorageFull.
        """

    def await_part(self, part: UploadInfo, info: UploadInfo) -> None:
        """Remember that `info` waits for this part."""

    def awaiting(self, part: UploadInfo) -> Sequence[str]:
        """The ids of the uploads that wait for this part."""


@runtime_checkable
class TakesChunks(Protocol):
    """A store that takes an upload's bytes in any order: those with a `chunk_size`.

    `look` shows such an upload up to its first hole, and never as finished before `complete`.
    """

    def received(self, info: UploadInfo) -> Received:
        """Which bytes are here, of an upload that is `in_chunks`; a moment's truth."""

    def chunk_writer(self, info: UploadInfo) -> AbstractContextManager[ChunkWriter]:
        """Open an upload that is `in_chunks`; the caller holds or shares its lock.

        Raises UploadNotFound.
        """

    def complete(self, info: UploadInfo) -> UploadInfo:
        """Let an upload of which every byte is written count as finished; as it is then.

        After a crash it is finished or as it was before. The caller holds its lock alone.
        """


@runtime_checkable
class RemembersKeys(Protocol):
    """A store that knows which creations it has seen: Idempotency-Key."""

    def made_with_key(self, owner: str, key: str) -> str | None:
        """The id of the upload that this owner's key stands for; it may be gone by now."""

    def claim_key(self, owner: str, key: str, upload_id: str, instead_of: str | None) -> str:
        """Let the key stand for this upload; the id that it stands for afterwards.

        Of two that claim a key at once one wins. `instead_of` is a holder to be replaced.
        """


@runtime_checkable
class KnowsOwners(Protocol):
    """A store that can list what a user has under way: quotas."""

    def unfinished_of(self, owner: str) -> Sequence[UploadInfo]:
        """This owner's uploads whose bytes are not all here, and all parts of concatenations."""


@runtime_checkable
class Local(Protocol):
    """A store whose bytes are files here, so that they can be served and moved by path."""

    def path(self, info: UploadInfo) -> Path:
        """Where the bytes lie now."""

    def places(self, info: UploadInfo) -> tuple[str, str]:
        """Where the bytes and the facts are meant to lie, without a look at the disk."""

    def hand_over(self, info: UploadInfo, destination: Path) -> None:
        """Move the finished bytes to their final place on the same filesystem.

        From then on `look` shows the upload complete, and gone once that file is deleted.
        A crash at any point leaves the file in one of the two places, and a second call
        completes the move. Idempotent.
        """


def extensions(store: DataStore) -> tuple[str, ...]:
    """The tus extensions that this store makes possible, as named in Tus-Extension."""
    names = ["creation", "creation-with-upload", "creation-defer-length"]
    names += ["checksum", "checksum-trailer"]
    if isinstance(store, Terminates):
        names.append("termination")
    if isinstance(store, Expires):
        names.append("expiration")
    if isinstance(store, Concatenates):
        names += ["concatenation", "concatenation-unfinished"]
    return tuple(names)
