"""What the local store does with single files."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disks import MIB, fill, free, small_disk
from tusd_server.storage import files
from tusd_server.storage.files import (
    LEAST_RESERVED_BYTES,
    directly,
    join_files,
    reserve,
    sync_path,
    unlink,
    write_file,
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Eight MiB."""
    with small_disk(tmp_path / "disk") as folder:
        yield folder


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[int]:
    """A new, empty file."""
    descriptor = os.open(tmp_path / "data", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


# Reservations.


def test_a_reservation_takes_room_and_leaves_the_size(disk: Path) -> None:
    """The size is the upload's offset."""
    with (disk / "data").open("wb") as file:
        before = free(disk)
        reserve(file.fileno(), 4 * MIB)
        assert os.fstat(file.fileno()).st_size == 0
        assert before - free(disk) == 4 * MIB
        file.write(b"x" * MIB)
        file.flush()
        assert os.fstat(file.fileno()).st_size == MIB
        assert before - free(disk) == 4 * MIB


def test_two_that_do_not_fit_together(disk: Path) -> None:
    with (disk / "one").open("wb") as one, (disk / "two").open("wb") as two:
        reserve(one.fileno(), 5 * MIB)
        with pytest.raises(OSError, match="No space left"):
            reserve(two.fileno(), 5 * MIB)
        reserve(two.fileno(), 2 * MIB)


def test_what_is_reserved_can_be_written_on_a_full_disk(disk: Path) -> None:
    with (disk / "data").open("wb") as file:
        reserve(file.fileno(), MIB)
        fill(disk)
        assert os.pwrite(file.fileno(), b"x" * MIB, 0) == MIB
        with pytest.raises(OSError, match="No space left"):
            os.pwrite(file.fileno(), b"x" * MIB, MIB)


def test_a_small_file_is_compared_with_the_free_space(disk: Path) -> None:
    with (disk / "data").open("wb") as file:
        before = free(disk)
        reserve(file.fileno(), LEAST_RESERVED_BYTES - 1)
        assert free(disk) == before
        fill(disk, leave=65_536)
        reserve(file.fileno(), 65_536)
        with pytest.raises(OSError, match="No space left"):
            reserve(file.fileno(), 65_537)


def test_a_file_that_no_disk_can_hold(opened: int) -> None:
    with pytest.raises(OSError) as full:
        reserve(opened, 2**62)
    assert full.value.errno in files.FULL


@pytest.mark.parametrize("answer", [errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_filesystem_without_reservations(
    opened: int, answer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files._libc, "fallocate64", lambda *_: -1)
    monkeypatch.setattr(files.ctypes, "get_errno", lambda: answer)
    reserve(opened, LEAST_RESERVED_BYTES)
    with pytest.raises(OSError, match="No space left"):
        reserve(opened, 2**62)


def test_a_libc_without_reservations(opened: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_libc", object())
    reserve(opened, LEAST_RESERVED_BYTES)


def test_an_error_of_the_disk_is_told(opened: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files._libc, "fallocate64", lambda *_: -1)
    monkeypatch.setattr(files.ctypes, "get_errno", lambda: errno.EIO)
    with pytest.raises(OSError) as failed:
        reserve(opened, LEAST_RESERVED_BYTES)
    assert failed.value.errno == errno.EIO


# Joining.


@pytest.fixture
def sources(tmp_path: Path) -> list[str]:
    blocks = {"one": os.urandom(300_000), "none": b"", "two": b"two"}
    for name, block in blocks.items():
        (tmp_path / name).write_bytes(block)
    return [str(tmp_path / name) for name in blocks]


def joined(sources: list[str]) -> bytes:
    return b"".join(Path(source).read_bytes() for source in sources)


@pytest.mark.parametrize("sync", [True, False])
def test_files_are_joined_in_order(tmp_path: Path, sources: list[str], *, sync: bool) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"what was there before, and longer than nothing" * 10_000)
    wanted = [*sources[::-1], sources[0]]
    join_files(wanted, str(target), sync=sync)
    assert target.read_bytes() == joined(wanted)


def test_nothing_is_joined_to_nothing(tmp_path: Path) -> None:
    join_files([], str(tmp_path / "target"), sync=False)
    assert (tmp_path / "target").read_bytes() == b""


def test_a_source_that_is_not_there(tmp_path: Path, sources: list[str]) -> None:
    with pytest.raises(FileNotFoundError):
        join_files([*sources, str(tmp_path / "unknown")], str(tmp_path / "target"), sync=False)


@pytest.mark.parametrize("answer", [errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_kernel_that_does_not_copy(
    tmp_path: Path, sources: list[str], answer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr(os, "copy_file_range", fail)
    join_files(sources, str(tmp_path / "target"), sync=False)
    assert (tmp_path / "target").read_bytes() == joined(sources)


def test_between_two_filesystems(disk: Path, tmp_path: Path, sources: list[str]) -> None:
    join_files(sources, str(disk / "target"), sync=True)
    assert (disk / "target").read_bytes() == joined(sources)


def test_a_kernel_that_copies_in_pieces(
    tmp_path: Path, sources: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.copy_file_range
    monkeypatch.setattr(os, "copy_file_range", lambda a, b, size: real(a, b, min(size, 70_001)))
    join_files(sources, str(tmp_path / "target"), sync=False)
    assert (tmp_path / "target").read_bytes() == joined(sources)


def test_a_disk_that_fills_up(disk: Path, sources: list[str]) -> None:
    fill(disk, leave=100_000)
    with pytest.raises(OSError) as full:
        join_files(sources, str(disk / "target"), sync=False)
    assert full.value.errno in files.FULL


# The rest.


@pytest.mark.parametrize("sync", [True, False])
def test_a_file_is_replaced_as_a_whole(tmp_path: Path, *, sync: bool) -> None:
    path, temporary = str(tmp_path / "a.info"), str(tmp_path / ".a.info.new")
    for content in (b"first, and longer", b"second"):
        write_file(path, temporary, content, sync=sync)
        assert [each.name for each in tmp_path.iterdir()] == ["a.info"]
        assert Path(path).read_bytes() == content


def test_a_full_disk_leaves_the_old_file(disk: Path) -> None:
    path, temporary = str(disk / "a.info"), str(disk / ".a.info.new")
    write_file(path, temporary, b"old", sync=False)
    fill(disk)
    with pytest.raises(OSError, match="No space left"):
        write_file(path, temporary, b"new" * 100_000, sync=False)
    assert Path(path).read_bytes() == b"old"
    assert {each.name for each in disk.iterdir()} == {"a.info", "filler"}


def test_unlink_is_done_once_or_twice(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    for _ in range(2):
        unlink(str(tmp_path / "data"))
    assert list(tmp_path.iterdir()) == []


def test_files_and_folders_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / "data").touch()
    sync_path(tmp_path / "data")
    sync_path(str(tmp_path))
    assert synced == [str(tmp_path / "data"), str(tmp_path)]


def test_directly_is_right_here() -> None:
    done = []
    directly(lambda: done.append(1))
    assert done == [1]
