"""One upload made of others: when, of what, and what a crash in between leaves."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from processing.sniff import HEAD_BYTES
from tests.desk import REQUEST, Desk, files_desk
from tests.records import FakeClock
from tusd_server.errors import (
    BadHeader,
    ChecksumMismatch,
    FinalUpload,
    StorageFull,
    UploadGone,
    UploadNotFound,
    UploadRefused,
    UploadTooLarge,
)
from tusd_server.hashing import Hash
from tusd_server.locks import MemoryLocker
from tusd_server.storage.filesystem import FilesystemStore
from tusd_server.uploads.joining import Bystander, Parts
from tusd_server.uploads.service import Uploads, Wanted

SHA256 = hashlib.sha256(b"hello world").hexdigest()


def ids(desk: Desk) -> set[str]:
    return {info.id for info in desk.store.all()}


def test_parts_read_as_one(desk: Desk) -> None:
    parts = [desk.store.look(desk.part(block)) for block in (b"hello", b"", b" ", b"world")]
    joined = Parts(desk.store, parts)
    content = b"hello world"
    for offset in range(13):
        for size in range(13):
            assert joined.read(size, offset) == content[offset : offset + size]
        hashed: Any = hashlib.sha256()
        joined.hash(hashed, offset)
        assert hashed.digest() == hashlib.sha256(content[offset:]).digest()


def test_finished_parts_are_joined_at_once(desk: Desk) -> None:
    whole = desk.join(desk.part(b"hello "), desk.part(b"world"))
    assert desk.contents(whole) == b"hello world"
    assert desk.hooks.heads == [b"hello world"]
    assert desk.hooks.finished[-1] == whole
    assert ids(desk) == {whole}


def test_only_the_first_bytes_are_judged(desk: Desk) -> None:
    desk.join(desk.part(b"x" * 100), desk.part(b"y" * HEAD_BYTES))
    assert desk.hooks.heads == [b"x" * 100 + b"y" * (HEAD_BYTES - 100)]


def test_the_last_part_joins(desk: Desk) -> None:
    one, two = desk.create(6, partial=True), desk.create(5, partial=True)
    whole = desk.join(one, two)
    assert not desk.info(whole).finished
    desk.append(two, 0, b"world")
    assert not desk.info(whole).finished
    desk.append(one, 0, b"hello ")
    assert desk.contents(whole) == b"hello world"
    assert desk.hooks.finished.count(whole) == 1


def test_who_owns_what(desk: Desk) -> None:
    mine = desk.part(b"hello")
    wanted = Wanted(None, parts=(mine,), concat=f"final;{mine}")
    with pytest.raises(UploadNotFound):
        desk.uploads.create("bob", wanted, None, REQUEST)
    assert ids(desk) == {mine}


def test_what_cannot_be_joined(desk: Desk) -> None:
    desk.max_size = 20
    desk.open()
    good, plain = desk.part(b"0123456789"), desk.create(5)
    with pytest.raises(BadHeader):
        desk.join(good, plain)
    with pytest.raises(UploadNotFound):
        desk.join(good, "unknown")
    with pytest.raises(UploadTooLarge):
        desk.join(good, good, good)
    whole = desk.join(good, good)
    with pytest.raises(BadHeader):
        desk.join(whole)
    with pytest.raises(FinalUpload):
        desk.append(whole, 20, b"")


def test_a_whole_that_is_refused_leaves_its_parts(desk: Desk) -> None:
    parts = [desk.part(b"ba"), desk.part(b"d!")]
    with pytest.raises(UploadRefused):
        desk.join(*parts)
    with pytest.raises(ChecksumMismatch):
        desk.join(parts[0], parts[0], sha256=SHA256)
    assert ids(desk) == set(parts)
    assert [desk.contents(part) for part in parts] == [b"ba", b"d!"]
    assert desk.contents(desk.join(*parts[::-1])) == b"d!ba"


def test_a_whole_is_never_shown_complete_before_it_was_judged(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HEAD asks for the whole again and again: it must not see one that is refused later."""
    seen = []
    real = Parts.hash

    def hash_(self: Parts, hashed: Hash, offset: int) -> None:
        seen.extend(info.finished for info in desk.store.all() if info.final)
        real(self, hashed, offset)

    monkeypatch.setattr(Parts, "hash", hash_)
    late = desk.create(5, partial=True)
    whole = desk.join(desk.part(b"hello "), late, sha256=SHA256)
    desk.append(late, 0, b"w0rld")
    assert seen == [False]
    with pytest.raises(ChecksumMismatch):
        desk.look(whole)


def test_a_judge_who_fails_is_asked_again(desk: Desk) -> None:
    late = desk.create(5, partial=True)
    whole = desk.join(desk.part(b"hello "), late)
    desk.hooks.fails = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        desk.append(late, 0, b"world")
    assert desk.store.look(late).finished
    assert not desk.store.look(whole).finished
    desk.hooks.fails = None
    assert desk.info(whole).finished
    assert desk.contents(whole) == b"hello world"


def test_a_shared_part_is_kept_for_whoever_waits(desk: Desk) -> None:
    shared, late = desk.part(b"hello "), desk.create(5, partial=True)
    second = desk.join(shared, late)
    first = desk.join(shared)
    assert desk.contents(first) == b"hello "
    assert ids(desk) == {shared, late, first, second}
    desk.append(late, 0, b"world")
    assert desk.contents(second) == b"hello world"
    assert ids(desk) == {first, second}


def test_a_shared_part_is_not_kept_for_one_that_is_gone(desk: Desk) -> None:
    shared, late = desk.part(b"hello "), desk.create(5, partial=True)
    second = desk.join(shared, late)
    desk.uploads.terminate(second, "alice", Bystander(), REQUEST)  # type: ignore[arg-type]
    first = desk.join(shared)
    assert ids(desk) == {late, first}


def test_the_length_is_known_when_all_parts_have_one(desk: Desk) -> None:
    late = desk.create(None, partial=True)
    whole = desk.join(desk.part(b"hello "), late)
    assert desk.info(whole).length is None
    desk.append(late, 0, b"wor", length=5)
    assert desk.info(whole).length == 11
    desk.append(late, 3, b"ld")
    assert desk.info(whole).finished


def test_the_whole_is_gone_when_it_expires(desk: Desk) -> None:
    late = desk.create(5, partial=True)
    whole = desk.join(late)
    desk.clock.advance(timedelta(days=1, minutes=1).total_seconds())
    with pytest.raises(UploadGone):
        desk.look(whole)


def test_a_second_look_joins_what_a_crash_left(files: Desk) -> None:
    """The last part's bytes are there, and the process died before it could join."""
    late = files.create(5, partial=True)
    whole = files.join(files.part(b"hello "), late)
    with files.store.writer(files.store.look(late)) as writer:
        writer.write(memoryview(b"world"))
    files.open()
    assert files.info(whole).finished
    assert files.contents(whole) == b"hello world"
    assert files.hooks.finished[-1] == whole
    assert ids(files) == {whole}


def test_a_crash_between_the_join_and_the_finish(files: Desk) -> None:
    """The steps by hand. What is whole was judged before, so it may be shown; the reconciler
    hands it over, and the parts expire."""
    parts = [files.part(b"hello "), files.part(b"world")]
    late = files.create(1, partial=True)
    whole = files.join(*parts, late)
    store = files.store
    assert isinstance(store, FilesystemStore)
    with store.writer(store.look(late)) as writer:
        writer.write(memoryview(b"!"))
    found = [store.look(part) for part in (*parts, late)]
    store.concatenate(store.look(whole), found)
    files.open()
    assert files.info(whole).finished
    assert files.contents(whole) == b"hello world!"
    store.concatenate(store.look(whole), found)
    assert files.contents(whole) == b"hello world!"
    assert ids(files) == {whole, *parts, late}
    files.clock.advance(timedelta(days=1, minutes=1).total_seconds())
    with pytest.raises(UploadGone):
        files.look(late)
    assert files.info(whole).finished


def test_a_crash_within_the_join(files: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """All bytes or none: the half of it lies under another name."""

    class Dies(BaseException):
        pass

    def die(sources: object, target: str, **_: object) -> None:
        Path(target).write_bytes(b"hello wo")
        raise Dies

    parts = [files.part(b"hello "), files.part(b"world")]
    late = files.create(1, partial=True)
    whole = files.join(*parts, late)
    with monkeypatch.context() as crash:
        crash.setattr("tusd_server.storage.filesystem.join_files", die)
        with pytest.raises(Dies):
            files.append(late, 0, b"!")
    files.open()
    assert files.store.look(whole).offset == 0
    assert files.info(whole).finished
    assert files.contents(whole) == b"hello world!"
    assert not list(Path(files.store.root).glob(".*.joined"))  # type: ignore[attr-defined]


def test_a_full_disk_at_the_join(files: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts are kept, and a later look joins them."""
    late = files.create(5, partial=True)
    whole = files.join(files.part(b"hello "), late)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("tusd_server.storage.filesystem.join_files", full)
        assert files.append(late, 0, b"world").info.finished
        with pytest.raises(StorageFull):
            files.look(whole)
    assert files.info(whole).finished
    assert files.contents(whole) == b"hello world"


def test_the_last_parts_at_once(desk: Desk) -> None:
    """Each of them asks for the join; it happens once."""
    for _ in range(10):
        parts = [desk.create(1, partial=True) for _ in range(4)]
        whole = desk.join(*parts)
        barrier = threading.Barrier(4)

        def send(part: str, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(10)
            desk.append(part, 0, b"x")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(send, parts))
        assert desk.info(whole).finished
        assert desk.contents(whole) == b"xxxx"
        assert desk.hooks.finished.count(whole) == 1
        assert not ids(desk) & set(parts)


def test_a_store_that_cannot(desk: Desk) -> None:
    class Simple:
        """Keeps uploads, and has no ability beside."""

        def look(self, upload_id: str) -> object:
            return desk.store.look(upload_id)

    part = desk.part(b"hello")
    uploads = Uploads(
        Simple(),  # type: ignore[arg-type]
        MemoryLocker(timeout_seconds=0.1),
        desk.hooks,
        max_size=100,
        clock=FakeClock(),
    )
    with pytest.raises(BadHeader, match="not supported"):
        uploads.create("alice", Wanted(None, parts=(part,)), None, REQUEST)


def test_a_bystander_goes_on() -> None:
    bystander = Bystander()
    bystander.let_go()
    assert not bystander.closing()


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    desk = files_desk(tmp_path)
    for _ in range(3):
        late = desk.create(1, partial=True)
        desk.join(desk.part(b"hello"), late, late)
        desk.append(late, 0, b"!")
    assert list((tmp_path / "data/.tusd-server/awaited").iterdir()) == []
    names = {path.name for path in (tmp_path / "data").iterdir()} - {".tusd-server"}
    assert names == {each + end for each in ids(desk) for end in ("", ".info")}
