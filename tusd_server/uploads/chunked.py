"""Uploads in numbered chunks: in any order, at once, from several processes, again and again.

Each chunk lands at its offset in the file that holds the upload. Those who write chunks share the
upload's lock; whoever brings the last one takes it alone, so that nobody writes into a file that
was judged and counts as complete.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hooks.events import RequestFacts
from processing.sniff import HEAD_BYTES
from tusd_server.errors import (
    BadHeader,
    StorageFull,
    UploadError,
    UploadInterrupted,
    UploadNotFinished,
    UploadNotFound,
    UploadRefused,
    UploadTooLarge,
)
from tusd_server.info import UploadInfo
from tusd_server.storage.base import TakesChunks
from tusd_server.storage.received import chunks_of
from tusd_server.uploads.body import Body, Ending
from tusd_server.uploads.joining import Bystander
from tusd_server.uploads.receiving import BAD_ENDINGS
from tusd_server.uploads.service import Outcome, Uploads, Wanted

# What is here is noted with a byte for each chunk, which every chunk reads.
MOST_CHUNKS = 10_000


@dataclass(frozen=True)
class Progress:
    """How far an upload has come.

    `received_bytes` is how many bytes are here, holes left out. `chunk_size` (bytes), `total` (of
    chunks) and `missing` (their numbers) are those of an upload in chunks; of another one they
    are None and empty. `headers` are what the hooks add to the answer that finishes it.
    """

    info: UploadInfo
    received_bytes: int
    chunk_size: int | None = None
    total: int | None = None
    missing: tuple[int, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def next(self) -> int | None:
        """The first chunk that is missing."""
        return self.missing[0] if self.missing else None


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One chunk: its number, and where its bytes begin and end."""

    index: int
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


class _Sender:
    """Holds the lock for one chunk; once its bytes are here it lets go by itself."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def let_go(self) -> None:
        """See Holder. A connection whose body was read is left to its next request."""
        if self._body.ending is None:
            self._body.let_go()

    def closing(self) -> bool:
        """See Holder."""
        return self._body.ending is None and self._body.closing()


class Chunked:
    """Uploads in chunks, and the progress of all. Every method knows who is asking.

    All methods raise UploadError with a sentence for the client.
    """

    def __init__(self, uploads: Uploads) -> None:
        """`uploads` has the rules; its store must be one that takes chunks."""
        self._uploads = uploads

    def begin(
        self,
        owner: str,
        length: int,
        chunk_size: int,
        metadata_header: str,
        request: RequestFacts,
        *,
        sha256: str | None = None,
    ) -> Outcome:
        """Make an upload of `length` bytes that come in chunks; one of 0 bytes is finished at once.

        `sha256` is the digest of the whole file in hexadecimal, where the client tells it.
        """
        self._store()
        if chunk_size < 1 or length < 0:
            raise BadHeader("chunk_size is at least 1 byte, and the file has at least none.")
        if length > self._uploads.max_size:
            raise UploadTooLarge(
                f"The file has {length} bytes; at most {self._uploads.max_size} are allowed."
            )
        if chunks_of(length, chunk_size) > MOST_CHUNKS:
            raise BadHeader(
                f"chunk_size is {chunk_size}; make it at least "
                f"{chunks_of(length, MOST_CHUNKS)}, so that there are at most {MOST_CHUNKS} chunks."
            )
        wanted = Wanted(length, metadata_header, sha256, chunk_size=chunk_size)
        return self._uploads.create(owner, wanted, None, request)

    def put(
        self, upload_id: str, owner: str, index: int, body: Body, request: RequestFacts
    ) -> Progress:
        """Take in one chunk; with the last one missing, finish the upload.

        A chunk that is here is read and dropped. One that does not come whole counts nothing.
        Raises BadHeader for a chunk that there is not, UploadTooLarge and BadHeader for one that
        is too long or too short, and the errors of a body that ended badly.
        """
        info = self._uploads.stand(upload_id, owner)
        chunk = _chunk(info, index, body)
        try:
            last = info.in_chunks and not self._watched(info, owner, chunk, body, request)
            _drop(body, chunk)
            if last:
                self._complete(info, owner, chunk, request)
        except UploadNotFound:
            # Handed over in between, perhaps: then there is nothing left to lock.
            if not self._uploads.stand(upload_id, owner).finished:
                raise
            _drop(body, chunk)
        return self._progress(self._uploads.stand(upload_id, owner), request)

    def progress(self, upload_id: str, owner: str) -> Progress:
        """How far an upload has come, whichever way its bytes come; disturbs nobody."""
        return self._progress(self._uploads.stand(upload_id, owner), None)

    def finish(self, upload_id: str, owner: str, request: RequestFacts) -> Progress:
        """Finish a complete upload, in chunks or not, whether or not that was done before.

        For a client that missed the answer to its last bytes. Raises UploadNotFinished.
        """
        progress = self._progress(self._uploads.stand(upload_id, owner), request)
        if not progress.info.finished:
            raise UploadNotFinished(
                f"The upload is not complete; {progress.received_bytes} of "
                f"{progress.info.length} bytes are here."
            )
        return progress

    def _store(self) -> TakesChunks:
        if not isinstance(self._uploads.store, TakesChunks):
            raise BadHeader("This store takes no chunks; send the file as one tus upload.")
        return self._uploads.store

    def _progress(self, info: UploadInfo, request: RequestFacts | None) -> Progress:
        """The progress; with a request, a complete upload is finished (again)."""
        headers: Mapping[str, str] = {}
        if info.finished and request is not None:
            headers = self._uploads.finish_again(info, request).headers
        size = info.chunk_size
        total = None if size is None else chunks_of(info.length or 0, size)
        if not info.in_chunks:
            return Progress(info, info.offset, size, total, headers=headers)
        received = self._store().received(info)
        return Progress(info, received.bytes, size, total, received.missing)

    def _watched(
        self, info: UploadInfo, owner: str, chunk: _Chunk, body: Body, request: RequestFacts
    ) -> bool:
        """`_take`, with the hooks that want to hear of progress."""
        watch = self._uploads.watch
        if not watch.wanted:
            return self._take(info, owner, chunk, body, request)
        taken = False
        here = info.at(self._store().received(info).bytes)
        with watch.over(here, body, request) as watched:
            try:
                taken = self._take(info, owner, chunk, watched.body, request)
            except UploadError:
                if watched.stop is None:
                    raise
        if watched.stop is not None:
            raise self._uploads.stop(info, watched.stop, request)
        return taken

    def _take(
        self, info: UploadInfo, owner: str, chunk: _Chunk, body: Body, request: RequestFacts
    ) -> bool:
        """Take in a chunk that is not here; False when it is the last one, not counted yet."""
        try:
            with self._uploads.locker.share(info.id, _Sender(body)):
                info = self._uploads.stand(info.id, owner)
                return not info.in_chunks or self._write(info, chunk, body, request)
        except _Judged as judged:
            self._refuse(info, owner, judged.refused)
        except UploadInterrupted:
            # By one who finishes the upload, perhaps, and has this chunk already.
            if not self._has(self._uploads.stand(info.id, owner), chunk.index):
                raise
        return True

    def _has(self, info: UploadInfo, index: int) -> bool:
        return not info.in_chunks or self._store().received(info).has(index)

    def _write(self, info: UploadInfo, chunk: _Chunk, body: Body, request: RequestFacts) -> bool:
        """Write and count a chunk, under the shared lock; False when it is the last one."""
        store = self._store()
        if store.received(info).has(chunk.index):
            return True
        at, judged = chunk.start, chunk.start > 0
        with store.chunk_writer(info) as writer:
            for view in body.chunks(chunk.size):
                try:
                    writer.write(view, at)
                except StorageFull as error:
                    error.offset = None  # that of a run, which this is not
                    raise
                at += len(view)
                if not judged and at >= HEAD_BYTES:
                    judged = True
                    self._judge(info.at(at), writer.read(HEAD_BYTES, 0), request)
            _check_ending(body, chunk, at - chunk.start)
            counted = writer.count_chunk(chunk.index)
            if counted and chunk.start < HEAD_BYTES and (chunk.start or not judged):
                self._judge_small_chunks(store, info, writer.read(HEAD_BYTES, 0), request)
        return counted

    def _judge_small_chunks(
        self, store: TakesChunks, info: UploadInfo, head: bytes, request: RequestFacts
    ) -> None:
        """Judge the first bytes when this chunk was the last one of them."""
        offset = store.received(info).offset
        if offset >= HEAD_BYTES:
            self._judge(info.at(offset), head, request)

    def _judge(self, info: UploadInfo, head: bytes, request: RequestFacts) -> None:
        try:
            self._uploads.judge(info, head, request)
        except UploadRefused as refused:
            raise _Judged(refused) from refused

    def _refuse(self, info: UploadInfo, owner: str, refused: UploadRefused) -> None:
        """Refuse the upload for good; raises the error that says so, from now on."""
        with self._uploads.locker.hold(info.id, Bystander()):
            info = self._uploads.stand(info.id, owner)
            raise self._uploads.refuse(info, refused) from refused

    def _complete(self, info: UploadInfo, owner: str, chunk: _Chunk, request: RequestFacts) -> None:
        """Let the upload count as finished, if nothing else is missing than this chunk.

        Nobody writes any more: who shared the lock has let go, and who comes finds a complete
        upload. Until here the chunk did not count, so a crash before only means to send it again.
        """
        with self._uploads.locker.hold(info.id, Bystander()):
            info = self._uploads.stand(info.id, owner)
            if not info.in_chunks:
                return
            with self._store().chunk_writer(info) as writer:
                if writer.count_chunk(chunk.index):
                    return
                try:
                    self._uploads.receiver.complete_chunks(info, writer, request)
                except UploadRefused as refused:
                    raise self._uploads.refuse(info, refused) from refused


class _Judged(Exception):
    """The content was refused, under a lock that is not enough to say so for good."""

    def __init__(self, refused: UploadRefused) -> None:
        super().__init__(refused.message)
        self.refused = refused


def _chunk(info: UploadInfo, index: int, body: Body) -> _Chunk:
    """The chunk of this number; raises unless there is one and the body may be it."""
    if info.chunk_size is None:
        raise BadHeader("This upload was not begun in chunks; send its bytes to its tus URL.")
    length, total = info.length or 0, chunks_of(info.length or 0, info.chunk_size)
    if not 0 <= index < total:
        raise BadHeader(
            f"chunk_index is {index}; this upload has the chunks 0 to {total - 1}."
            if total
            else f"chunk_index is {index}; this upload has no bytes and no chunks."
        )
    start = index * info.chunk_size
    chunk = _Chunk(index, start, min(start + info.chunk_size, length))
    if body.length is not None:
        _check_size(chunk, body.length)
    return chunk


def _check_size(chunk: _Chunk, size: int) -> None:
    if size != chunk.size:
        error = UploadTooLarge if size > chunk.size else BadHeader
        raise error(f"Chunk {chunk.index} has {size} bytes; it must have {chunk.size}.")


def _check_ending(body: Body, chunk: _Chunk, received: int) -> None:
    """Raise unless all of the chunk and no more has come."""
    if body.ending is Ending.OVERRUN:
        raise UploadTooLarge(f"Chunk {chunk.index} goes on beyond its {chunk.size} bytes.")
    if body.ending in BAD_ENDINGS:
        error, sentence = BAD_ENDINGS[body.ending]
        raise error(f"{sentence}; nothing of chunk {chunk.index} is kept.")
    _check_size(chunk, received)


def _drop(body: Body, chunk: _Chunk) -> None:
    """Read a body that is not needed, so that its client comes to read the answer."""
    if body.ending is None:
        for _ in body.chunks(chunk.size):
            pass
