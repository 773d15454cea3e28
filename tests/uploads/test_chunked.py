"""Uploads in chunks: any order, at once, again; judged before they count as complete."""

import hashlib
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from processing.sniff import HEAD_BYTES
from tests.desk import REQUEST, Desk, body_of
from tests.rooms import Cut, able_to
from tusd_server.errors import (
    BadHeader,
    BodyCut,
    ChecksumMismatch,
    OffsetMismatch,
    StorageFull,
    UploadError,
    UploadGone,
    UploadInterrupted,
    UploadLocked,
    UploadNotFinished,
    UploadNotFound,
    UploadRefused,
    UploadTooLarge,
)
from tusd_server.hashing import Checksum
from tusd_server.locks import Holder
from tusd_server.storage.filesystem import FilesystemStore
from tusd_server.uploads.body import Body, Ending, PortableBody
from tusd_server.uploads.chunked import MOST_CHUNKS, Chunked, Progress
from tusd_server.uploads.files import FinishedUploads
from tusd_server.uploads.receiving import Proof

WHOLE = b"hello world"
LONG = 20.0


class Slow:
    """A body whose second half comes when it is released, or never when it has to let go."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length: int | None = len(data)
        self.ending: Ending | None = None
        self.trailers: Mapping[str, str] = {}
        self.began = threading.Event()
        self.released = threading.Event()
        self.asked = False

    def chunks(self, limit: int) -> Iterator[memoryview]:
        half = len(self._data) // 2
        yield memoryview(self._data[:half])
        self.began.set()
        assert self.released.wait(LONG)
        if self.asked:
            self.ending = Ending.TAKEN_OVER
            return
        yield memoryview(self._data[half:])
        self.ending = Ending.COMPLETE

    def let_go(self) -> None:
        self.asked = True
        self.released.set()

    def closing(self) -> bool:
        return False


class Sending(threading.Thread):
    """One who sends a chunk while others do something else."""

    def __init__(self, desk: Desk, upload: str, index: int, body: Slow) -> None:
        super().__init__(daemon=True)
        self._work = lambda: put(desk, upload, index, body)
        self._body = body
        self.error: UploadError | None = None
        self.progress: Progress | None = None
        self.start()
        assert body.began.wait(LONG)

    def run(self) -> None:
        try:
            self.progress = self._work()
        except UploadError as error:
            self.error = error

    def end(self) -> None:
        self._body.released.set()
        self.join(LONG)
        assert not self.is_alive()


def begin(desk: Desk, whole: bytes = WHOLE, chunk_size: int = 4, **more: str) -> str:
    return Chunked(desk.uploads).begin("alice", len(whole), chunk_size, "", REQUEST, **more).info.id


def put(desk: Desk, upload: str, index: int, body: bytes | Body) -> Progress:
    sent = body_of(body) if isinstance(body, bytes) else body
    return Chunked(desk.uploads).put(upload, "alice", index, sent, REQUEST)


def progress(desk: Desk, upload: str) -> Progress:
    return Chunked(desk.uploads).progress(upload, "alice")


def chunk(index: int, whole: bytes = WHOLE, size: int = 4) -> bytes:
    return whole[index * size : (index + 1) * size]


def stored(desk: Desk, upload: str) -> bytes:
    return desk.contents(upload)


def test_chunks_in_any_order(desk: Desk) -> None:
    upload = begin(desk)
    first = progress(desk, upload)
    assert (first.received_bytes, first.chunk_size, first.total) == (0, 4, 3)
    assert (first.missing, first.next) == ((0, 1, 2), 0)
    after = put(desk, upload, 2, chunk(2))
    assert (after.received_bytes, after.missing, after.next) == (3, (0, 1), 0)
    after = put(desk, upload, 0, chunk(0))
    assert (after.received_bytes, after.missing, after.next) == (7, (1,), 1)
    assert desk.info(upload).offset == 4
    assert desk.hooks.finished == []
    after = put(desk, upload, 1, chunk(1))
    assert (after.received_bytes, after.total, after.missing, after.next) == (11, 3, (), None)
    assert after.info.finished
    assert desk.hooks.finished == [upload]
    assert stored(desk, upload) == WHOLE


def test_chunks_that_come_again(desk: Desk) -> None:
    """Read, dropped and answered; the upload that is complete is finished again."""
    upload = begin(desk)
    put(desk, upload, 0, chunk(0))
    again = body_of(b"####")
    assert put(desk, upload, 0, again).missing == (1, 2)
    assert again.ending is Ending.COMPLETE
    for index in (1, 2, 2, 0):
        put(desk, upload, index, chunk(index))
    late = body_of(b"####")
    assert put(desk, upload, 1, late).info.finished
    assert late.ending is Ending.COMPLETE
    assert stored(desk, upload) == WHOLE
    assert set(desk.hooks.finished) == {upload}


def test_a_file_of_no_bytes(desk: Desk) -> None:
    upload = begin(desk, b"")
    after = progress(desk, upload)
    assert after.info.finished
    assert (after.received_bytes, after.total, after.missing) == (0, 0, ())
    assert desk.hooks.finished == [upload]
    with pytest.raises(BadHeader, match="no bytes and no chunks"):
        put(desk, upload, 0, b"")


def test_one_chunk(desk: Desk) -> None:
    upload = begin(desk, chunk_size=1000)
    assert put(desk, upload, 0, WHOLE).info.finished
    assert stored(desk, upload) == WHOLE


@pytest.mark.parametrize(
    ("length", "chunk_size", "sentence"),
    [
        (11, 0, "at least 1 byte"),
        (11, -1, "at least 1 byte"),
        (-1, 4, "at least none"),
        (MOST_CHUNKS + 1, 1, "at least 2, so that there are at most 10000 chunks"),
    ],
)
def test_what_is_no_upload_in_chunks(
    desk: Desk, length: int, chunk_size: int, sentence: str
) -> None:
    with pytest.raises(BadHeader, match=sentence):
        Chunked(desk.uploads).begin("alice", length, chunk_size, "", REQUEST)
    assert list(desk.store.all()) == []


def test_the_most_chunks(desk: Desk) -> None:
    upload = begin(desk, bytes(MOST_CHUNKS), 1)
    assert put(desk, upload, MOST_CHUNKS - 1, b"\0").received_bytes == 1


def test_an_upload_that_is_too_long(desk: Desk) -> None:
    with pytest.raises(UploadTooLarge, match="has 1000001 bytes; at most 1000000"):
        Chunked(desk.uploads).begin("alice", 1_000_001, 1000, "", REQUEST)


def test_a_store_that_takes_no_chunks(desk: Desk) -> None:
    desk.store = able_to()
    desk.open()
    with pytest.raises(BadHeader, match="one tus upload"):
        begin(desk)


@pytest.mark.parametrize("index", [-1, 3, 10**30])
def test_a_chunk_that_there_is_not(desk: Desk, index: int) -> None:
    upload = begin(desk)
    with pytest.raises(BadHeader, match="this upload has the chunks 0 to 2"):
        put(desk, upload, index, b"hell")


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(
    ("index", "body", "error", "sentence"),
    [
        (0, b"hel", BadHeader, "Chunk 0 has 3 bytes; it must have 4."),
        (1, b"", BadHeader, "Chunk 1 has 0 bytes; it must have 4."),
        (2, b"rl", BadHeader, "Chunk 2 has 2 bytes; it must have 3."),
        (0, b"hello", UploadTooLarge, "Chunk 0 "),
        (2, b"rld!", UploadTooLarge, "Chunk 2 "),
    ],
)
def test_a_chunk_of_a_wrong_length(
    desk: Desk, announced: bool, index: int, body: bytes, error: type[UploadError], sentence: str
) -> None:
    upload = begin(desk)
    with pytest.raises(error, match=sentence):
        put(desk, upload, index, body_of(body, len(body) if announced else None))
    assert progress(desk, upload).missing == (0, 1, 2)
    assert put(desk, upload, index, chunk(index)).received_bytes == len(chunk(index))


def test_a_chunk_that_is_cut(desk: Desk) -> None:
    upload = begin(desk)
    put(desk, upload, 0, chunk(0))
    with pytest.raises(BodyCut, match="nothing of chunk 1 is kept") as caught:
        put(desk, upload, 1, PortableBody(Cut(b"o "), 4))
    assert caught.value.offset is None
    assert progress(desk, upload).missing == (1, 2)
    for index in (2, 1):
        put(desk, upload, index, chunk(index))
    assert stored(desk, upload) == WHOLE


def test_the_last_chunk_is_cut(desk: Desk) -> None:
    upload = begin(desk)
    for index in (0, 2):
        put(desk, upload, index, chunk(index))
    with pytest.raises(BodyCut):
        put(desk, upload, 1, PortableBody(Cut(b"o "), 4))
    assert not progress(desk, upload).info.finished
    assert put(desk, upload, 1, chunk(1)).info.finished


def test_others_have_no_such_upload(desk: Desk) -> None:
    upload, chunked = begin(desk), Chunked(desk.uploads)
    with pytest.raises(UploadNotFound):
        chunked.put(upload, "bob", 0, body_of(b"hell"), REQUEST)
    with pytest.raises(UploadNotFound):
        chunked.progress(upload, "bob")
    with pytest.raises(UploadNotFound):
        chunked.finish(upload, "bob", REQUEST)
    assert progress(desk, upload).received_bytes == 0


def test_an_upload_that_has_expired(desk: Desk) -> None:
    upload = begin(desk)
    put(desk, upload, 1, chunk(1))
    desk.clock.advance(timedelta(days=1, minutes=1).total_seconds())
    with pytest.raises(UploadGone):
        put(desk, upload, 0, chunk(0))
    with pytest.raises(UploadGone):
        progress(desk, upload)


# tus uploads.


def test_the_progress_of_a_tus_upload(desk: Desk) -> None:
    upload = desk.create()
    desk.append(upload, 0, b"hello")
    now = progress(desk, upload)
    assert (now.received_bytes, now.chunk_size, now.total, now.missing) == (5, None, None, ())
    assert now.next is None
    with pytest.raises(BadHeader, match="not begun in chunks"):
        put(desk, upload, 1, b"####")
    with pytest.raises(UploadNotFinished, match="5 of 11 bytes"):
        Chunked(desk.uploads).finish(upload, "alice", REQUEST)
    desk.append(upload, 5, b" world")
    assert Chunked(desk.uploads).finish(upload, "alice", REQUEST).received_bytes == 11
    assert desk.hooks.finished == [upload, upload]


def test_tus_goes_on_where_chunks_began(desk: Desk) -> None:
    upload = begin(desk)
    put(desk, upload, 0, chunk(0))
    with pytest.raises(OffsetMismatch) as caught:
        desk.append(upload, 0, WHOLE)
    assert caught.value.offset == 4
    assert desk.append(upload, 4, b"o ").info.offset == 6
    assert progress(desk, upload).missing == (1, 2)
    assert desk.append(upload, 6, b"wo").info.offset == 8
    assert progress(desk, upload).missing == (2,)
    assert put(desk, upload, 2, chunk(2)).info.finished
    assert stored(desk, upload) == WHOLE


def test_tus_fills_the_hole_that_is_left(desk: Desk) -> None:
    upload = begin(desk)
    for index in (1, 2):
        put(desk, upload, index, chunk(index))
    done = desk.append(upload, 0, chunk(0))
    assert done.info.offset == 11
    assert desk.hooks.finished == [upload]
    assert stored(desk, upload) == WHOLE


@pytest.mark.parametrize("trailing", [False, True])
def test_tus_with_a_checksum_over_chunks(desk: Desk, trailing: bool) -> None:
    """Damaged bytes do not touch what is here; right ones complete the upload."""
    upload = begin(desk)
    put(desk, upload, 1, chunk(1))
    checksum = Checksum("sha1", hashlib.sha1(WHOLE).digest())
    proof = Proof(trailing=lambda: checksum) if trailing else Proof(checksum)
    if not trailing:
        # One that comes behind is worked out from what is stored.
        with pytest.raises(ChecksumMismatch):
            desk.append(upload, 0, b"hell####rld", proof=proof)
        assert progress(desk, upload).missing == (0, 2)
    with pytest.raises(ChecksumMismatch):
        desk.append(upload, 0, b"####o world", proof=proof)
    assert progress(desk, upload).missing == (0, 2)
    assert desk.append(upload, 0, WHOLE, proof=proof).info.finished
    assert stored(desk, upload) == WHOLE


def test_a_cut_tus_body_among_chunks(desk: Desk) -> None:
    upload = begin(desk)
    put(desk, upload, 1, chunk(1))
    with pytest.raises(BodyCut) as caught:
        desk.append(upload, 0, PortableBody(Cut(b"hello wor"), 11))
    assert caught.value.offset == 9
    assert progress(desk, upload).received_bytes == 9
    assert desk.append(upload, 9, b"ld").info.finished
    assert stored(desk, upload) == WHOLE


def test_a_tus_body_that_is_too_long_gives_back_what_it_brought(desk: Desk) -> None:
    upload = begin(desk)
    put(desk, upload, 1, chunk(1))
    with pytest.raises(UploadTooLarge):
        desk.append(upload, 0, body_of(WHOLE + b"!", None))
    assert progress(desk, upload).missing == (0, 2)


def test_no_part_of_another_upload(desk: Desk) -> None:
    upload = begin(desk)
    for index in range(3):
        put(desk, upload, index, chunk(index))
    with pytest.raises(BadHeader, match="not created as `partial`"):
        desk.join(upload)


def test_what_may_be_fetched(desk: Desk) -> None:
    upload = begin(desk)
    for index in (0, 2):
        put(desk, upload, index, chunk(index))
    with pytest.raises(UploadNotFinished):
        desk.uploads.finished(upload, "alice")


# The content is judged.


def test_a_wrong_type_is_refused_with_its_first_bytes(desk: Desk) -> None:
    whole = b"bad" + bytes(20_000)
    upload = begin(desk, whole, 8000)
    put(desk, upload, 1, chunk(1, whole, 8000))
    body = Slow(chunk(0, whole, 8000) * 2)
    body.length = 8000
    with pytest.raises(UploadRefused, match="Not this one"):
        put(desk, upload, 0, body)
    assert body.ending is None, "It is refused when 4 KiB of it are in."
    for again in (
        lambda: put(desk, upload, 2, chunk(2, whole, 8000)),
        lambda: progress(desk, upload),
        lambda: desk.look(upload),
    ):
        with pytest.raises(UploadRefused, match="Not this one"):
            again()
    assert desk.hooks.finished == []


def test_a_wrong_type_in_many_small_chunks(desk: Desk) -> None:
    whole = b"bad" + bytes(2 * HEAD_BYTES)
    upload = begin(desk, whole, 1000)
    for index in (8, 4, 3, 2, 1):
        put(desk, upload, index, chunk(index, whole, 1000))
    with pytest.raises(UploadRefused):
        put(desk, upload, 0, chunk(0, whole, 1000))
    with pytest.raises(UploadRefused):
        progress(desk, upload)


@pytest.mark.parametrize("last", [0, 1, 2])
def test_a_small_file_is_judged_with_its_last_chunk(desk: Desk, last: int) -> None:
    whole = b"bad content"
    upload = begin(desk, whole)
    for index in {0, 1, 2} - {last}:
        put(desk, upload, index, chunk(index, whole))
    assert desk.hooks.heads == []
    with pytest.raises(UploadRefused):
        put(desk, upload, last, chunk(last, whole))
    assert desk.hooks.heads == [whole]
    assert desk.hooks.finished == []


def test_tus_completes_chunks_of_a_wrong_type(desk: Desk) -> None:
    whole = b"bad content"
    upload = begin(desk, whole)
    put(desk, upload, 1, chunk(1, whole))
    put(desk, upload, 2, chunk(2, whole))
    with pytest.raises(UploadRefused):
        desk.append(upload, 0, b"bad ")
    with pytest.raises(UploadRefused):
        desk.look(upload)


def test_a_judge_that_fails_is_asked_again(desk: Desk) -> None:
    whole = random.Random(1).randbytes(10_000)
    upload = begin(desk, whole, 5000)
    desk.hooks.fails = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        put(desk, upload, 0, chunk(0, whole, 5000))
    desk.hooks.fails = None
    assert progress(desk, upload).received_bytes == 0
    for index in (0, 1):
        put(desk, upload, index, chunk(index, whole, 5000))
    assert stored(desk, upload) == whole
    assert desk.hooks.finished == [upload]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_the_digest_of_the_whole_file(desk: Desk, order: tuple[int, ...]) -> None:
    right = begin(desk, sha256=hashlib.sha256(WHOLE).hexdigest())
    wrong = begin(desk, sha256=hashlib.sha256(b"else").hexdigest())
    for index in order[:2]:
        put(desk, right, index, chunk(index))
        put(desk, wrong, index, chunk(index))
    assert put(desk, right, order[2], chunk(order[2])).info.finished
    with pytest.raises(ChecksumMismatch):
        put(desk, wrong, order[2], chunk(order[2]))
    with pytest.raises(ChecksumMismatch):
        progress(desk, wrong)
    assert desk.hooks.finished == [right]


def test_the_digest_when_tus_brings_the_rest(desk: Desk) -> None:
    wrong = begin(desk, sha256=hashlib.sha256(b"else").hexdigest())
    put(desk, wrong, 1, chunk(1))
    desk.append(wrong, 0, b"hell")
    with pytest.raises(ChecksumMismatch):
        desk.append(wrong, 8, b"rld")
    assert desk.hooks.finished == []


# Several at once.


def test_chunks_at_once(desk: Desk) -> None:
    upload = begin(desk)
    bodies = [Slow(chunk(index)) for index in range(3)]
    sending = [Sending(desk, upload, index, body) for index, body in enumerate(bodies)]
    assert progress(desk, upload).received_bytes == 0
    for each in (sending[2], sending[0], sending[1]):
        each.end()
        assert each.error is None
    assert progress(desk, upload).info.finished
    assert not any(body.asked for body in bodies)
    assert stored(desk, upload) == WHOLE


def test_a_slow_duplicate_does_not_write_into_a_complete_file(desk: Desk) -> None:
    """Who finishes has the lock alone: the duplicate stops, and is told that all is well."""
    upload = begin(desk)
    duplicate = Slow(b"####")
    sending = Sending(desk, upload, 1, duplicate)
    for index in (0, 1, 2):
        put(desk, upload, index, chunk(index))
    sending.end()
    assert duplicate.asked
    assert sending.error is None
    assert desk.info(upload).finished
    assert stored(desk, upload) == WHOLE


def test_what_a_duplicate_wrote_is_judged_too(desk: Desk) -> None:
    """Chunk 0 came twice at once, and the other one's first bytes are those that are here."""
    whole = bytes(5000) + b"rest"
    upload = begin(desk, whole, 5000)
    sending = Sending(desk, upload, 0, duplicate := Slow(b"x" * 5000))
    put(desk, upload, 0, chunk(0, whole, 5000))
    # Its first half lies there already; now the second one overwrites what was counted.
    duplicate.released.set()
    sending.end()
    with_bad = b"bad"
    assert isinstance(sending.progress, Progress)
    store = desk.store
    assert hasattr(store, "chunk_writer")
    with store.chunk_writer(store.look(upload)) as writer:
        writer.write(memoryview(with_bad), 0)
    with pytest.raises(UploadRefused):
        put(desk, upload, 1, b"rest")


def test_tus_takes_over_from_chunks(desk: Desk) -> None:
    upload = begin(desk)
    sending = [Sending(desk, upload, index, Slow(chunk(index))) for index in (1, 2)]
    assert desk.append(upload, 0, WHOLE).info.finished
    for each in sending:
        each.end()
    assert stored(desk, upload) == WHOLE


def test_a_chunk_that_another_request_took_over_counts_nothing(desk: Desk) -> None:
    upload = begin(desk)
    sending = Sending(desk, upload, 1, Slow(chunk(1)))
    desk.append(upload, 0, b"he")
    sending.end()
    assert isinstance(sending.error, UploadInterrupted)
    assert "nothing of chunk 1 is kept" in sending.error.message
    assert progress(desk, upload).missing == (0, 1, 2)


def test_delete_takes_over_from_chunks(desk: Desk) -> None:
    upload = begin(desk)
    sending = [Sending(desk, upload, index, Slow(chunk(index))) for index in (0, 1)]
    desk.uploads.terminate(upload, "alice", body_of(b""), REQUEST)
    for each in sending:
        each.end()
        assert isinstance(each.error, UploadInterrupted | UploadNotFound)
    with pytest.raises(UploadNotFound):
        desk.look(upload)


def test_one_who_does_not_let_go_keeps_the_last_chunk_out(desk: Desk) -> None:
    """It counts nothing then, and its client tries again."""

    class Deaf(Slow):
        def let_go(self) -> None:
            """Hear nothing."""

    upload = begin(desk)
    sending = Sending(desk, upload, 1, Deaf(chunk(1)))
    for index in (0, 2):
        put(desk, upload, index, chunk(index))
    with pytest.raises(UploadLocked):
        put(desk, upload, 1, chunk(1))
    assert not progress(desk, upload).info.finished
    sending.end()
    assert sending.error is None
    assert progress(desk, upload).info.finished
    assert stored(desk, upload) == WHOLE


def test_complete_between_the_look_and_the_lock(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last chunk, twice at once: the one that comes late writes nothing."""
    upload = begin(desk)
    for index in (0, 1):
        put(desk, upload, index, chunk(index))
    real = desk.locker.share

    def late(upload_id: str, holder: Holder) -> AbstractContextManager[None]:
        monkeypatch.undo()
        put(desk, upload, 2, chunk(2))
        return real(upload_id, holder)

    monkeypatch.setattr(desk.locker, "share", late)
    body = body_of(b"###")
    assert put(desk, upload, 2, body).info.finished
    assert body.ending is Ending.COMPLETE
    assert stored(desk, upload) == WHOLE


def test_complete_between_the_last_chunk_and_its_lock(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begin(desk)
    for index in (0, 1):
        put(desk, upload, index, chunk(index))
    real = desk.locker.hold

    def late(upload_id: str, holder: Holder) -> AbstractContextManager[None]:
        monkeypatch.undo()
        put(desk, upload, 2, chunk(2))
        return real(upload_id, holder)

    monkeypatch.setattr(desk.locker, "hold", late)
    heads = len(desk.hooks.heads)
    assert put(desk, upload, 2, chunk(2)).info.finished
    assert len(desk.hooks.heads) == heads + 1, "It is judged once."
    assert stored(desk, upload) == WHOLE


def test_handed_over_between_the_look_and_the_lock(
    files: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begin(files)
    for index in (0, 1):
        put(files, upload, index, chunk(index))
    store = files.store
    assert isinstance(store, FilesystemStore)
    real = files.locker.share

    def late(upload_id: str, holder: Holder) -> AbstractContextManager[None]:
        monkeypatch.undo()
        put(files, upload, 2, chunk(2))
        store.hand_over(store.look(upload), store.root / "uploads" / "a.txt")
        return real(upload_id, holder)

    monkeypatch.setattr(files.locker, "share", late)
    body = body_of(b"rld")
    after = put(files, upload, 2, body)
    assert after.info.finished
    assert body.ending is Ending.COMPLETE
    assert files.hooks.finished == [upload, upload]
    assert (store.root / "uploads" / "a.txt").read_bytes() == WHOLE
    assert progress(files, upload).total == 3


def test_the_reconciler_sees_complete_ones_only(files: Desk) -> None:
    upload = begin(files)
    store, locker = files.store, files.locker
    seen = FinishedUploads(store, locker, None)  # type: ignore[arg-type]
    for index in (0, 2):
        put(files, upload, index, chunk(index))
    assert list(seen) == []
    put(files, upload, 1, chunk(1))
    assert [received.upload_id for received in seen] == [upload]


def test_a_full_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the chunk counts, and no offset is told: it is not that of a chunk."""
    upload = begin(desk)
    store = desk.store
    assert hasattr(store, "chunk_writer")
    with store.chunk_writer(store.look(upload)) as writer:
        kind = type(writer)

    def full(self: object, data: memoryview, offset: int) -> None:
        raise StorageFull("The disk is full.", offset=offset)

    with monkeypatch.context() as patched:
        patched.setattr(kind, "write", full)
        with pytest.raises(StorageFull) as caught:
            put(desk, upload, 1, chunk(1))
    assert caught.value.offset is None
    assert progress(desk, upload).received_bytes == 0


def test_the_length_is_reserved(tmp_path: Path) -> None:
    """A file with holes takes all its room when it is begun."""
    from tests.desk import files_desk

    desk = files_desk(tmp_path, max_size=10_000_000)
    upload = begin(desk, bytes(4_000_000), 1_000_000)
    assert isinstance(desk.store, FilesystemStore)
    assert (desk.store.root / upload).stat().st_blocks * 512 >= 4_000_000
    assert replace(desk.info(upload), touched_at=None).length == 4_000_000
