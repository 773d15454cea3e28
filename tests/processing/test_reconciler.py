import logging
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from processing.catalog import Catalog
from processing.medium import Received
from processing.reconciler import Reconciler
from processing.shelf import Shelf
from tests.records import known, ready_medium, received


def reconciler(catalog: Catalog, folder: Path, uploads: Iterable[Received] = ()) -> Reconciler:
    return Reconciler(
        catalog=catalog,
        shelf=Shelf(folder),
        finished_uploads=lambda: uploads,
        work_dir=folder / "work",
    )


def published_medium(catalog: Catalog, folder: Path, upload_id: str) -> tuple[str, Path]:
    shelf = Shelf(folder)
    medium = ready_medium(catalog, upload_id, post_id="p1")
    choices = shelf.destinations("alice", medium.created_at, upload_id, ".mp4", upload_id)
    path = shelf.prepare(catalog.place(medium.id, choices).path)
    path.write_bytes(b"x")
    catalog.registered(medium.id)
    catalog.published("p1")
    return medium.id, path


def test_a_finished_upload_without_a_record_gets_one(catalog: Catalog, tmp_path: Path) -> None:
    catalog.receive(received("known"))
    uploads = [received(name) for name in ("known", "lost 1", "lost 2")]
    round_ = reconciler(catalog, tmp_path, uploads)
    assert round_.record_uploads() == 2
    assert round_.record_uploads() == 0
    assert len(catalog.queue.waiting()) == 3


def test_one_that_cannot_be_recorded_now_keeps_no_other_waiting(
    catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def record(upload: Received) -> None:
        if upload.upload_id == "odd":
            raise OSError("its hook is away")
        catalog.receive(upload)

    round_ = Reconciler(
        catalog=catalog,
        shelf=Shelf(tmp_path),
        finished_uploads=lambda: [received("odd"), received("even")],
        work_dir=tmp_path / "work",
        record=record,
    )
    assert round_.record_uploads() == 1
    assert catalog.by_upload("even") is not None
    assert "upload odd could not be recorded late: its hook is away" in caplog.text


def test_files_of_published_media_go(catalog: Catalog, tmp_path: Path) -> None:
    made = [published_medium(catalog, tmp_path, upload_id) for upload_id in ("u1", "u2")]
    round_ = reconciler(catalog, tmp_path)
    assert round_.clear_published() == 2
    assert round_.clear_published() == 0
    for media_id, path in made:
        assert known(catalog, media_id).status == "deleted"
        assert not path.exists()


def test_files_that_went_before_the_crash_are_no_error(catalog: Catalog, tmp_path: Path) -> None:
    media_id, path = published_medium(catalog, tmp_path, "u1")
    path.unlink()
    assert reconciler(catalog, tmp_path).clear_published() == 1
    assert known(catalog, media_id).status == "deleted"


def test_a_file_that_cannot_go_keeps_its_record_and_not_the_others(
    catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stuck, path = published_medium(catalog, tmp_path, "u1")
    path.unlink()
    path.mkdir()
    other, _ = published_medium(catalog, tmp_path, "u2")
    assert reconciler(catalog, tmp_path).clear_published() == 1
    assert known(catalog, stuck).status == "published"
    assert known(catalog, other).status == "deleted"
    assert stuck in caplog.text


def test_folders_of_killed_workers_go_after_a_day(catalog: Catalog, tmp_path: Path) -> None:
    old, new = tmp_path / "work/job-old", tmp_path / "work/job-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    assert reconciler(catalog, tmp_path).sweep_work_dir() == 1
    assert (old.exists(), new.exists()) == (False, True)


def test_one_failing_errand_does_not_stop_the_others(
    catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def unreadable() -> Iterable[Received]:
        raise OSError("the data directory cannot be read")

    media_id, _ = published_medium(catalog, tmp_path, "u1")
    round_ = Reconciler(
        catalog=catalog,
        shelf=Shelf(tmp_path),
        finished_uploads=unreadable,
        work_dir=tmp_path / "work",
    )
    with caplog.at_level(logging.ERROR, "processing.reconciler"):
        round_.run()
    assert "record_uploads did not finish" in caplog.text
    assert known(catalog, media_id).status == "deleted"
