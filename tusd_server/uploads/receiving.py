"""Taking in one body under its upload's lock: judge, hash, write, keep what counts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hooks.events import RequestFacts
from processing.sniff import HEAD_BYTES
from tusd_server.errors import (
    BadHeader,
    BodyBroken,
    BodyCut,
    OffsetMismatch,
    QuotaExceeded,
    ReadTimedOut,
    ServerStopping,
    UploadError,
    UploadInterrupted,
    UploadTooLarge,
)
from tusd_server.hashing import Checksum, Hash
from tusd_server.info import UploadInfo
from tusd_server.storage.base import DataStore, Readable, TakesChunks, Writer
from tusd_server.uploads.body import Body, Ending
from tusd_server.uploads.digests import Digests

Judge = Callable[[UploadInfo, bytes, RequestFacts], None]
Grow = Callable[[UploadInfo, int], None]

# How far bodies of unknown length may take a user beyond the quota before it is looked at.
UNCOUNTED_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Proof:
    """How the bytes of one body are verified: by a checksum known before, or by one behind it.

    `trailing` is called when the body is complete; it raises when the promised one is missing.
    """

    checksum: Checksum | None = None
    trailing: Callable[[], Checksum] | None = None

    @property
    def wanted(self) -> bool:
        """True when the client sends a checksum."""
        return self.checksum is not None or self.trailing is not None


class Receiver:
    """Appends bodies to uploads; the caller holds the lock."""

    def __init__(
        self, store: DataStore, digests: Digests, max_size: int, judge: Judge, grow: Grow
    ) -> None:
        """`judge` is asked about the first bytes of each upload and may refuse them.

        `grow` is asked whether an upload of unknown length may have so many bytes.
        """
        self._store = store
        self._digests = digests
        self._max_size = max_size
        self._judge = judge
        self._grow = grow

    def check(self, info: UploadInfo, offset: int, length: int | None, body: Body) -> None:
        """Raise unless a body may go on here: its offset, its length, the upload's length."""
        if offset != info.offset:
            raise OffsetMismatch(
                f"Upload-Offset is {offset}; the upload stands at {info.offset}.",
                offset=info.offset,
            )
        if length is not None and info.length not in (None, length):
            raise BadHeader(
                f"Upload-Length is {length}, but {info.length} since the creation; "
                "the length of an upload does not change."
            )
        if length is not None and length < info.offset:
            raise BadHeader(f"Upload-Length is {length}; {info.offset} bytes are here already.")
        check_fits(body, info.offset, self._limit(info, length))
        grown = info.offset + (body.length or 0) if length is None else length
        if info.length is None and grown > info.offset:
            self._may_grow(info, grown)

    def receive(
        self, info: UploadInfo, body: Body, proof: Proof, request: RequestFacts
    ) -> UploadInfo:
        """Take in the body; the upload as it is afterwards.

        Raises an UploadError with the offset that counts when the body ended badly or its bytes
        were not those that the client sent, UploadRefused when the content is refused.
        """
        # Of an upload in chunks the bytes come in any order, and are hashed when all are here.
        running = None if info.in_chunks else self._digests.resume(info)
        hashed = proof.checksum.start() if proof.checksum is not None else None
        with self._store.writer(info) as writer:
            if proof.wanted:
                writer.distrust()
            try:
                self._write(info, body, writer, running, hashed, request, verified=proof.wanted)
                self._verify(info, body, writer, proof, running, hashed)
                self._judge_verified(info, writer, proof, request)
                # Behind the last byte, and when it counts: of bodies that come at once, the last
                # one to be looked at finds the bytes of all.
                if info.length is None and writer.offset > info.offset:
                    self._grow(info, writer.offset)
            except UploadError as error:
                if proof.wanted or isinstance(error, QuotaExceeded):
                    # What is not verified is not acknowledged.
                    writer.cut(info.offset)
                    error.offset = info.offset
                raise
            now = info.at(writer.offset)
            if info.in_chunks:
                now = self._fill_holes(now, writer, request)
            elif now.finished:
                self._check_whole(now, writer, running, request, since=info.offset)
            elif running is not None:
                self._digests.keep(now, running)
            writer.sync()
        if not now.finished:
            _raise_bad_ending(body.ending, now)
        return now

    def _fill_holes(self, info: UploadInfo, writer: Writer, request: RequestFacts) -> UploadInfo:
        """An upload in chunks behind a run up to its offset: complete, or up to its first hole."""
        if not isinstance(self._store, TakesChunks):
            return info
        received = self._store.received(info).with_run(info.offset)
        if not received.complete:
            return info.at(received.offset)
        return self.complete_chunks(info, writer, request)

    def complete_chunks(
        self, info: UploadInfo, readable: Readable, request: RequestFacts
    ) -> UploadInfo:
        """Judge an upload in chunks whose bytes are all written, and let it count as finished.

        Its first bytes are judged once more: chunk 0 may have come twice at once, and differ.
        """
        whole = info.at(info.length or 0)
        self.check_parts(whole, readable, request)
        return self._store.complete(info) if isinstance(self._store, TakesChunks) else whole

    def _check_whole(
        self,
        info: UploadInfo,
        writer: Writer,
        running: Hash | None,
        request: RequestFacts,
        *,
        since: int,
    ) -> None:
        """Judge what only the last byte completes: a small file, and one whose length came last.

        `since` is where the bytes begin that are taken back when they cannot be judged.
        """
        # An empty file has no type; whether it is told at once or late, it is complete.
        if 0 < info.offset < HEAD_BYTES and not info.partial:
            self._judge_first(info, writer, request, since)
        if since == info.offset:
            self._digests.check(info, running, writer)

    def check_parts(self, info: UploadInfo, parts: Readable, request: RequestFacts) -> None:
        """Judge an upload by the bytes of which it will be made.

        Before it counts as made: HEAD must never show a complete upload that is refused later.
        """
        if info.offset:
            self._judge(info, parts.read(HEAD_BYTES, 0), request)
        self._digests.check(info, None, parts)

    def _limit(self, info: UploadInfo, length: int | None = None) -> int:
        known = info.length if info.length is not None else length
        return self._max_size if known is None else known

    def _write(
        self,
        info: UploadInfo,
        body: Body,
        writer: Writer,
        running: Hash | None,
        hashed: Hash | None,
        request: RequestFacts,
        *,
        verified: bool,
    ) -> None:
        # The content is judged once, when its first bytes are in: a wrong file is refused after
        # 4 KiB, not after 500 MB. What is smaller is judged with its last byte, and what has a
        # checksum when that holds: damage on the way is no reason to refuse a file for good.
        judged = info.offset >= HEAD_BYTES or info.partial or verified
        hashes = [each for each in (running, hashed) if each is not None]
        for view in self._counted(info, body.chunks(self._limit(info) - info.offset)):
            for each in hashes:
                each.update(view)
            last = writer.offset + len(view) == info.length
            if last and not (verified or info.in_chunks):
                self._write_last(info, writer, running, view)
            else:
                writer.write(view)
            if not judged and writer.offset >= HEAD_BYTES:
                judged = True
                self._judge_first(info, writer, request, info.offset)
        if body.ending is Ending.OVERRUN:
            writer.cut(info.offset)
            raise UploadTooLarge(
                f"The body goes on beyond {self._limit(info)} bytes; none of it is kept.",
                offset=info.offset,
            )

    def _counted(self, info: UploadInfo, views: Iterator[memoryview]) -> Iterator[memoryview]:
        """The views; every so many bytes the quota is asked, where it does not know the length."""
        written, ask_at = info.offset, info.offset + UNCOUNTED_BYTES
        for view in views:
            written += len(view)
            yield view
            if info.length is None and written >= ask_at:
                ask_at = written + UNCOUNTED_BYTES
                self._grow(info, written)

    def _may_grow(self, info: UploadInfo, size: int) -> None:
        try:
            self._grow(info, size)
        except QuotaExceeded as error:
            error.offset = info.offset
            raise

    def _write_last(
        self, info: UploadInfo, writer: Writer, running: Hash | None, view: memoryview
    ) -> None:
        """Complete the upload, if it has the digest that was declared for it.

        Checked before the write: a process that dies between the two must not leave a complete
        upload which nobody has checked.
        """
        if info.sha256 is not None:
            # The view is of a buffer that all connections share, and hashing may let them run.
            view = memoryview(bytes(view))
            self._digests.check(info, running, writer, last=view)
        writer.write(view)

    def _verify(
        self,
        info: UploadInfo,
        body: Body,
        writer: Writer,
        proof: Proof,
        running: Hash | None,
        hashed: Hash | None,
    ) -> None:
        """Let the bytes count if they are those that the client sent."""
        if not proof.wanted:
            return
        _raise_bad_ending(body.ending, info)
        if proof.checksum is not None and hashed is not None:
            proof.checksum.check(hashed)
        if proof.trailing is not None:
            # Its algorithm was not known while the bytes came, so they are read again.
            trailing = proof.trailing()
            again = trailing.start()
            writer.hash(again, info.offset)
            trailing.check(again)
        if writer.offset == info.length:
            self._digests.check(info, running, writer)
        writer.trust()

    def _judge_verified(
        self, info: UploadInfo, writer: Writer, proof: Proof, request: RequestFacts
    ) -> None:
        if proof.wanted and not info.partial and info.offset < HEAD_BYTES <= writer.offset:
            self._judge_first(info, writer, request, info.offset)

    def _judge_first(
        self, info: UploadInfo, writer: Writer, request: RequestFacts, since: int
    ) -> None:
        try:
            self._judge(info, writer.read(HEAD_BYTES, 0), request)
        except Exception:
            # Or the next request would go on behind the first bytes, and nobody judge them.
            writer.cut(since)
            raise


def check_fits(body: Body | None, offset: int, length: int) -> None:
    """Raise UploadTooLarge when the body announces more bytes than are missing."""
    if body is not None and body.length is not None and body.length > length - offset:
        raise UploadTooLarge(
            f"The body has {body.length} bytes; only {length - offset} are missing to {length}.",
            offset=offset,
        )


BAD_ENDINGS: dict[Ending, tuple[type[UploadError], str]] = {
    Ending.DISCONNECTED: (BodyCut, "The connection ended before the body did"),
    Ending.TIMED_OUT: (ReadTimedOut, "The bytes came too slowly, or not at all"),
    Ending.TAKEN_OVER: (UploadInterrupted, "A newer request for this upload took over"),
    Ending.STOPPING: (ServerStopping, "The server is stopping, try again"),
    Ending.BROKEN: (BodyBroken, "The body's chunked framing is broken"),
}


def _raise_bad_ending(ending: Ending | None, info: UploadInfo) -> None:
    if ending in BAD_ENDINGS:
        error, sentence = BAD_ENDINGS[ending]
        raise error(
            f"{sentence}; the {info.offset} bytes up to Upload-Offset are kept.",
            offset=info.offset,
        )
