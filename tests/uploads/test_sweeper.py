"""What the sweeper deletes, forgets and completes."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.desk import Desk, body_of
from tusd_server.errors import UploadError, UploadGone, UploadNotFound
from tusd_server.locks import FileLocker
from tusd_server.storage.filesystem import FilesystemStore
from tusd_server.uploads.sweeper import FORGET_EVERY, Sweeper

DAY = timedelta(days=1).total_seconds()
OLD_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def sweeper(files: Desk) -> Sweeper:
    assert isinstance(files.store, FilesystemStore)
    return Sweeper(
        files.store,
        files.locker,
        files.uploads,
        forget_gone_after=timedelta(days=2),
        forget_finished_after=timedelta(days=30),
        clock=files.clock,
    )


def names(files: Desk) -> set[str]:
    assert isinstance(files.store, FilesystemStore)
    return {path.name for path in files.store.root.iterdir() if path.is_file()}


def make_old(path: Path, seconds: float = 3700.0) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def touch(files: Desk, name: str, age_seconds: float = 3700.0) -> None:
    assert isinstance(files.store, FilesystemStore)
    path = files.store.root / name
    path.write_bytes(b"x")
    make_old(path, age_seconds)


def test_nothing_to_do(files: Desk, sweeper: Sweeper) -> None:
    files.create()
    files.part(b"hello")
    before = names(files)
    swept = sweeper.sweep()
    assert (swept.expired, swept.orphans, swept.forgotten) == ([], [], 0)
    assert names(files) == before


def test_what_nobody_finishes(files: Desk, sweeper: Sweeper) -> None:
    """Unfinished uploads and complete parts; a complete file never."""
    unfinished, part, finished = files.create(), files.part(b"hello"), files.create()
    files.append(unfinished, 0, b"hello")
    files.append(finished, 0, b"hello world")
    files.clock.advance(DAY - 60)
    assert sweeper.sweep().expired == []
    files.clock.advance(120)
    assert {info.id for info in sweeper.sweep().expired} == {unfinished, part}
    assert names(files) == {f"{unfinished}.info", f"{part}.info", finished, f"{finished}.info"}
    for upload in (unfinished, part):
        with pytest.raises(UploadGone):
            files.look(upload)
    assert files.contents(finished) == b"hello world"
    assert sweeper.sweep().expired == []


def test_gone_and_then_forgotten(files: Desk, sweeper: Sweeper) -> None:
    upload, refused = files.create(), files.create()
    with pytest.raises(UploadError):
        files.append(refused, 0, b"bad content")
    files.clock.advance(DAY + 60)
    assert len(sweeper.sweep().expired) == 1
    with pytest.raises(UploadGone):
        files.look(upload)
    files.clock.advance(DAY)
    assert sweeper.sweep().forgotten == 2
    for each in (upload, refused):
        with pytest.raises(UploadNotFound):
            files.look(each)
    assert names(files) == set()


def test_it_forgets_once_an_hour(files: Desk, sweeper: Sweeper) -> None:
    """The walk through all finished uploads is long."""
    assert sweeper.sweep().forgotten == 0
    refused = files.create()
    with pytest.raises(UploadError):
        files.append(refused, 0, b"bad content")
    make_old(files.store.root / f"{refused}.info", 3 * DAY)  # type: ignore[attr-defined]
    assert sweeper.sweep().forgotten == 0
    files.clock.advance(FORGET_EVERY.total_seconds() - 1)
    assert sweeper.sweep().forgotten == 0
    files.clock.advance(2)
    assert sweeper.sweep().forgotten == 1


def test_thoroughly_it_forgets_at_once(files: Desk, sweeper: Sweeper) -> None:
    sweeper.sweep()
    refused = files.create()
    with pytest.raises(UploadError):
        files.append(refused, 0, b"bad content")
    make_old(files.store.root / f"{refused}.info", 3 * DAY)  # type: ignore[attr-defined]
    assert sweeper.sweep(thoroughly=True).forgotten == 1


def test_a_finished_upload_is_forgotten_after_a_month(
    files: Desk, sweeper: Sweeper, tmp_path: Path
) -> None:
    upload = files.create()
    files.append(upload, 0, b"hello world")
    store = files.store
    assert isinstance(store, FilesystemStore)
    store.hand_over(store.look(upload), tmp_path / "data/uploads/alice/a.gif")
    files.clock.advance(30 * DAY - 60)
    assert sweeper.sweep().forgotten == 0
    assert files.info(upload).finished
    files.clock.advance(2 * FORGET_EVERY.total_seconds())
    assert sweeper.sweep().forgotten == 1
    with pytest.raises(UploadNotFound):
        files.look(upload)
    assert (tmp_path / "data/uploads/alice/a.gif").read_bytes() == b"hello world"


def test_old_keys_are_forgotten_too(files: Desk, sweeper: Sweeper, tmp_path: Path) -> None:
    files.create(key="k1")
    keys = tmp_path / "data/.tusd-server/keys"
    files.clock.advance(30 * DAY - 60)
    sweeper.sweep(thoroughly=True)
    assert len(list(keys.iterdir())) == 1
    files.clock.advance(120)
    sweeper.sweep(thoroughly=True)
    assert list(keys.iterdir()) == []


ORPHANS = {OLD_ID, f"{OLD_ID}.lock", f".{OLD_ID}.info.new", f".{OLD_ID}.joined"}


def test_what_belongs_to_nobody(files: Desk, sweeper: Sweeper) -> None:
    """Of a crash, and of tusd's locks; but nobody's own files, and nothing of this hour."""
    upload = files.create()
    for name in ORPHANS:
        touch(files, name)
    young = {name.replace("0123", "ffff") for name in ORPHANS}
    for name in young:
        touch(files, name, 3000.0)
    own = {"README", "notes.txt", ".gitignore", "backup.tar"}
    for name in own:
        touch(files, name)
    assert {path.name for path in sweeper.sweep().orphans} == ORPHANS
    assert names(files) == {upload, f"{upload}.info"} | young | own


def test_a_file_that_vanishes_meanwhile_is_no_trouble(
    files: Desk, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy server makes and renames files all the time."""
    for name in ORPHANS:
        touch(files, name)
    real = os.scandir

    def scandir(path: str) -> object:
        entries = real(path)
        found = list(entries)
        entries.close()
        for entry in found:
            if entry.name.startswith("."):
                Path(entry.path).unlink() if entry.is_file() else None

        class Listing:
            def __enter__(self) -> list[os.DirEntry[str]]:
                return found

            def __exit__(self, *_: object) -> None:
                return None

        return Listing()

    monkeypatch.setattr("tusd_server.storage.filesystem.os.scandir", scandir)
    assert {path.name for path in sweeper.sweep().orphans} == {OLD_ID, f"{OLD_ID}.lock"}


def test_an_info_file_that_a_listing_misses(
    files: Desk, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is replaced while its directory is read may be missing in what was read; its
    upload's bytes are no orphan for that."""
    files.made = 0
    files.uploads._new_id = lambda: OLD_ID
    upload = files.create(20)
    files.append(upload, 0, b"hello")
    make_old(files.store.root / upload)  # type: ignore[attr-defined]
    real = os.scandir

    class Listing:
        def __init__(self, path: str) -> None:
            with real(path) as entries:
                self.entries = [e for e in entries if not e.name.endswith(".info")]

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr("tusd_server.storage.filesystem.os.scandir", Listing)
    assert sweeper.sweep().orphans == []
    assert files.info(upload).offset == 5


def test_a_dry_run_changes_nothing(files: Desk, sweeper: Sweeper) -> None:
    upload, refused = files.create(), files.create()
    with pytest.raises(UploadError):
        files.append(refused, 0, b"bad content")
    make_old(files.store.root / f"{refused}.info", 3 * DAY)  # type: ignore[attr-defined]
    late = files.create(5, partial=True)
    files.join(late)
    with files.store.writer(files.store.look(late)) as writer:
        writer.write(memoryview(b"hello"))
    for name in ORPHANS:
        touch(files, name)
    before = names(files)
    files.clock.advance(DAY + 60)
    swept = sweeper.sweep(dry_run=True, thoroughly=True)
    assert upload in {info.id for info in swept.expired}
    assert {path.name for path in swept.orphans} == ORPHANS
    assert swept.forgotten == 0
    assert names(files) == before
    swept = sweeper.sweep(thoroughly=True)
    assert upload in {info.id for info in swept.expired}
    assert {path.name for path in swept.orphans} == ORPHANS


def test_it_joins_what_a_crash_left(files: Desk, sweeper: Sweeper) -> None:
    late = files.create(5, partial=True)
    whole = files.join(files.part(b"hello "), late)
    with files.store.writer(files.store.look(late)) as writer:
        writer.write(memoryview(b"world"))
    sweeper.sweep()
    assert files.store.look(whole).finished
    assert files.hooks.finished[-1] == whole
    assert names(files) == {whole, f"{whole}.info"}


def test_a_whole_that_cannot_be_joined_is_no_trouble(
    files: Desk, sweeper: Sweeper, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even once a minute in the log."""
    late = files.create(5, partial=True)
    files.join(files.part(b"bad!"), late)
    files.append(late, 0, b"world")
    assert len(caplog.records) == 1
    caplog.clear()
    for _ in range(2):
        sweeper.sweep()
        files.clock.advance(DAY + 60)
    assert caplog.records == []


def test_bytes_that_come_just_now(
    files: Desk, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the listing and the lock somebody went on."""
    upload = files.create()
    files.clock.advance(DAY + 60)
    real = FileLocker.hold

    def hold(self: FileLocker, upload_id: str, holder: object) -> object:
        moment = files.clock.now.timestamp()
        os.utime(files.store.root / upload_id, (moment, moment))  # type: ignore[attr-defined]
        return real(self, upload_id, holder)  # type: ignore[arg-type]

    monkeypatch.setattr(FileLocker, "hold", hold)
    assert [info.id for info in sweeper.sweep().expired] == [upload]
    assert files.info(upload).offset == 0
    assert names(files) == {upload, f"{upload}.info"}


def test_one_that_somebody_still_writes(files: Desk, sweeper: Sweeper) -> None:
    """The writer is asked to let go; if it does not, a later round comes again."""
    upload = files.create()
    files.clock.advance(DAY + 60)
    body = body_of(b"")
    with files.locker.hold(upload, body):
        sweeper.sweep()
        assert names(files) == {upload, f"{upload}.info"}
    sweeper.sweep()
    assert names(files) == {f"{upload}.info"}


def test_a_round_that_fails_is_logged_and_another_one_comes(
    files: Desk,
    sweeper: Sweeper,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    upload = files.create()
    files.clock.advance(DAY + 60)
    with monkeypatch.context() as broken:
        broken.setattr(FilesystemStore, "all", lambda _: 1 / 0)
        sweeper.run()
    assert "did not finish" in caplog.text
    with caplog.at_level("INFO"):
        sweeper.run()
    assert "swept 1 expired uploads" in caplog.text
    assert names(files) == {f"{upload}.info"}
