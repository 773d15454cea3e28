"""Finished uploads as the worker sees them."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from processing.catalog import Catalog
from processing.medium import Received
from tusd_server.info import UploadInfo, now_utc
from tusd_server.locks import FileLocker
from tusd_server.storage.filesystem import FilesystemStore
from tusd_server.uploads.files import FinishedUploads
from tusd_server.uploads.joining import Bystander

UPLOAD = "0123456789abcdef0123456789abcdef"


class Room:
    """A store, its locks and the worker's view of both, over one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.store = FilesystemStore(data_dir, durability="none")
        self.locker = FileLocker(data_dir, data_dir / "requests", timeout_seconds=1.0)
        self.catalog = Catalog(f"sqlite:///{data_dir / 'catalog.db'}")
        self.finished = FinishedUploads(self.store, self.locker, self.catalog)

    def upload(self, data: bytes = b"hello", **facts: object) -> UploadInfo:
        info = UploadInfo(id=UPLOAD, length=len(data), created_at=now_utc())
        info = replace(info, **facts)  # type: ignore[arg-type]
        self.store.create(info)
        with self.store.writer(info) as writer:
            writer.write(memoryview(data))
        return self.store.look(UPLOAD)

    def ids(self) -> list[str]:
        return [received.upload_id for received in self.finished]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path / "data")
    yield room
    room.catalog.close()


def test_a_complete_upload_is_listed_in_every_round(room: Room) -> None:
    room.upload()
    assert [room.ids(), room.ids()] == [[UPLOAD], [UPLOAD]]


def test_what_is_told_of_it(room: Room) -> None:
    room.upload(metadata_header="filename Yi5qcGc=", owner="bob")
    (received,) = room.finished
    assert isinstance(received, Received)
    assert (received.owner, received.file_name, received.size) == ("bob", "b.jpg", 5)


@pytest.mark.parametrize(
    "facts",
    [{"length": 6}, {"partial": True}, {"owner": None}],
    ids=["unfinished", "part", "left behind by tusd"],
)
def test_what_is_not_listed(room: Room, facts: dict[str, object]) -> None:
    room.upload(**facts)
    assert room.ids() == []


def test_one_that_is_still_written_is_not_listed(room: Room) -> None:
    room.upload()
    with room.locker.hold(UPLOAD, Bystander()):
        assert room.ids() == []
    assert room.ids() == [UPLOAD]


def test_a_handed_over_upload_is_listed_once_for_a_lost_record(room: Room) -> None:
    info = room.upload()
    destination = room.store.root / "uploads" / "bob" / "b.jpg"
    room.store.hand_over(info, destination)
    assert room.ids() == [UPLOAD]
    assert room.ids() == []
    assert room.finished.path(UPLOAD) == destination


def test_a_data_directory_may_move(room: Room, tmp_path: Path) -> None:
    room.store.hand_over(room.upload(), room.store.root / "uploads" / "bob" / "b.jpg")
    shutil.move(room.store.root, tmp_path / "elsewhere")
    moved = Room(tmp_path / "elsewhere")
    assert moved.store.look(UPLOAD).finished
    assert moved.finished.path(UPLOAD).read_bytes() == b"hello"


def test_a_discarded_upload_without_a_record_is_gone(room: Room) -> None:
    room.catalog.migrate()
    room.upload()
    room.finished.discard(UPLOAD)
    room.finished.discard(UPLOAD)
    assert list(room.store.all()) == []
