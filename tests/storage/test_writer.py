"""Appending to a file: what counts, on a full disk and after a crash."""

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.disks import MIB, fill, free, small_disk
from tests.storage.contract import INFO
from tusd_server.errors import StorageFull
from tusd_server.settings import Durability
from tusd_server.storage.files import reserve
from tusd_server.storage.filesystem import FilesystemStore
from tusd_server.storage.writer import HASH_BYTES, FileWriter


class Opened:
    """A writer, its file and its note."""

    def __init__(self, folder: Path, durability: Durability = "none", length: int = 0) -> None:
        self.path, self.note = folder / "data", folder / "note"
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT)
        self.offloaded = 0
        self.writer = FileWriter(
            self.descriptor,
            os.fstat(self.descriptor).st_size,
            length=length,
            note=str(self.note),
            durability=durability,
            offload=self._offload,
        )

    def _offload(self, work: Any) -> None:
        self.offloaded += 1
        work()

    def write(self, data: bytes) -> None:
        self.writer.write(memoryview(data))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path)
    yield opened
    os.close(opened.descriptor)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Eight MiB."""
    with small_disk(tmp_path / "disk") as folder:
        yield folder


def test_bytes_go_behind_each_other(opened: Opened) -> None:
    opened.write(b"hello ")
    opened.write(b"world")
    assert opened.writer.offset == 11
    assert opened.path.read_bytes() == b"hello world"
    assert opened.writer.read(5, 6) == b"world"
    assert opened.writer.read(99, 11) == b""


def test_bytes_are_hashed_from_an_offset(opened: Opened) -> None:
    content = os.urandom(HASH_BYTES * 2 + 7)
    opened.write(content)
    for offset in (0, 1, HASH_BYTES, len(content)):
        hashed = hashlib.sha1()
        opened.writer.hash(hashed, offset)
        assert hashed.digest() == hashlib.sha1(content[offset:]).digest()
    assert opened.offloaded == 4


def test_a_note_lies_there_while_bytes_are_not_verified(opened: Opened) -> None:
    opened.write(b"hello ")
    opened.writer.distrust()
    assert opened.note.read_text() == "6"
    opened.write(b"world")
    assert opened.note.read_text() == "6"
    opened.writer.trust()
    assert not opened.note.exists()
    assert opened.path.read_bytes() == b"hello world"


def test_a_cut_ends_the_distrust(opened: Opened) -> None:
    opened.write(b"hello ")
    opened.writer.distrust()
    opened.write(b"w0rld")
    opened.writer.cut(6)
    assert not opened.note.exists()
    assert (opened.writer.offset, opened.path.read_bytes()) == (6, b"hello ")
    opened.write(b"world")
    assert opened.path.read_bytes() == b"hello world"


def test_a_crash_within_a_cut_leaves_the_note(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes go first, so that there is never a moment in which they count."""

    class Dies(BaseException):
        pass

    def die(*_: object) -> None:
        raise Dies

    opened.writer.distrust()
    opened.write(b"hello")
    monkeypatch.setattr("tusd_server.storage.writer.unlink", die)
    with pytest.raises(Dies):
        opened.writer.cut(0)
    assert opened.path.read_bytes() == b""
    assert opened.note.exists()


@pytest.mark.parametrize(("durability", "calls"), [("none", 0), ("finish", 0), ("chunk", 2)])
def test_the_disk_is_waited_for_off_the_loop(
    tmp_path: Path, durability: Durability, calls: int
) -> None:
    opened = Opened(tmp_path, durability)
    opened.writer.distrust()
    opened.write(b"hello")
    opened.writer.trust()
    opened.writer.sync()
    assert opened.offloaded == calls
    os.close(opened.descriptor)


# Crashes, with the store around the writer.


def crashed(store: FilesystemStore, verified: bytes, unverified: bytes) -> None:
    """Leave what a process leaves that dies within a checksummed body."""
    store.create(INFO)
    with store.writer(INFO) as writer:
        writer.write(memoryview(verified))
        writer.distrust()
        writer.write(memoryview(unverified))


def test_unverified_bytes_do_not_count_after_a_crash(tmp_path: Path) -> None:
    crashed(FilesystemStore(tmp_path), b"hello ", b"w0rld")
    store = FilesystemStore(tmp_path)
    assert (tmp_path / INFO.id).read_bytes() == b"hello w0rld"
    info = store.look(INFO.id)
    assert (info.offset, info.finished) == (6, False)
    assert [each.offset for each in store.all()] == [6]
    with store.writer(info) as writer:
        assert writer.offset == 6
        assert (tmp_path / INFO.id).read_bytes() == b"hello "
        writer.write(memoryview(b"world"))
    assert store.look(INFO.id).finished
    assert (tmp_path / INFO.id).read_bytes() == b"hello world"


def test_a_crash_before_the_first_byte(tmp_path: Path) -> None:
    crashed(FilesystemStore(tmp_path), b"hello ", b"")
    store = FilesystemStore(tmp_path)
    assert store.look(INFO.id).offset == 6
    with store.writer(store.look(INFO.id)) as writer:
        assert writer.offset == 6
    assert list((tmp_path / ".tusd-server/unverified").iterdir()) == []


def test_a_note_that_was_not_written_yet_warns_of_nothing(tmp_path: Path) -> None:
    """It is complete before the first byte that it warns of, so an empty one has no such byte."""
    store = FilesystemStore(tmp_path)
    store.create(INFO)
    with store.writer(INFO) as writer:
        writer.write(memoryview(b"hello"))
    (tmp_path / ".tusd-server/unverified" / INFO.id).touch()
    assert store.look(INFO.id).offset == 5
    with store.writer(store.look(INFO.id)) as writer:
        assert writer.offset == 5
    assert (tmp_path / INFO.id).read_bytes() == b"hello"


def test_a_note_goes_with_its_upload(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path)
    for end in (store.remove, store.expire):
        crashed(store, b"", b"hello")
        end(store.look(INFO.id))
        assert list((tmp_path / ".tusd-server/unverified").iterdir()) == []
        (tmp_path / f"{INFO.id}.info").unlink(missing_ok=True)


# A full disk.


def test_what_fits_is_kept_and_counted(disk: Path) -> None:
    opened = Opened(disk)
    filler = fill(disk, leave=100 * 4096)
    with pytest.raises(StorageFull) as full:
        opened.write(b"x" * MIB)
    offset = opened.writer.offset
    assert 90 * 4096 <= offset <= 100 * 4096
    assert full.value.offset == offset
    assert opened.path.stat().st_size == offset
    filler.unlink()
    opened.write(b"y" * MIB)
    assert opened.path.read_bytes() == b"x" * offset + b"y" * MIB
    os.close(opened.descriptor)


def test_no_room_for_a_note(disk: Path) -> None:
    """Nothing was written that would need one."""
    opened = Opened(disk)
    opened.write(b"hello")
    fill(disk)
    with pytest.raises(StorageFull) as full:
        opened.writer.distrust()
    assert full.value.offset == 5
    os.close(opened.descriptor)


def test_another_error_of_the_disk_is_no_full_disk(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(OSError, match="Input/output"):
        opened.write(b"hello")
    opened.note.mkdir()
    with pytest.raises(IsADirectoryError):
        opened.writer.distrust()


def test_a_cut_keeps_the_reserved_room(disk: Path) -> None:
    """ftruncate gives it back, and somebody else could fill the disk before the next try."""
    opened = Opened(disk, length=4 * MIB)
    before = free(disk)
    reserve(opened.descriptor, 4 * MIB)
    opened.writer.distrust()
    opened.write(b"x" * MIB)
    opened.writer.cut(0)
    assert before - free(disk) == 4 * MIB
    fill(disk)
    opened.write(b"y" * 4 * MIB)
    assert opened.path.read_bytes() == b"y" * 4 * MIB
    os.close(opened.descriptor)


def test_a_cut_on_a_full_disk_is_no_error(disk: Path) -> None:
    opened = Opened(disk, length=16 * MIB)
    opened.write(b"hello")
    opened.writer.cut(0)
    assert opened.writer.offset == 0
    os.close(opened.descriptor)
