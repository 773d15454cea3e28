import logging
from datetime import timedelta
from pathlib import Path

import pytest

from processing.catalog import CLEAR, Catalog
from processing.fates import Cause, reason_for
from processing.medium import Medium, Place
from processing.queue import Job
from processing.retention import Retention
from processing.shelf import Shelf
from tests.records import EXAMINED, FakeClock, known, received, worker_for

DAY = 86_400.0
LEASE = 60.0


def retention(catalog: Catalog, folder: Path, clock: FakeClock, days: int = 30) -> Retention:
    return Retention(catalog, Shelf(folder), days, clock=clock)


def shelved(
    catalog: Catalog, folder: Path, upload_id: str, post_id: str | None = None
) -> tuple[Medium, list[Path]]:
    """A ready medium with its two files; its post's job still waits."""
    medium = catalog.receive(received(upload_id, post_id=post_id))
    job = catalog.queue.claim(LEASE)
    assert job is not None
    assert catalog.processing(medium.id)
    stem = f"uploads/alice/{upload_id}"
    place = catalog.place(medium.id, [Place(f"{stem}.mp4", f"{stem}.thumb.jpg")])
    files = [folder / place.path, folder / place.thumbnail_path]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"content")
    assert catalog.ready(medium.id, EXAMINED)
    assert catalog.queue.done(job)
    return known(catalog, medium.id), files


def registering(catalog: Catalog) -> Job:
    job = catalog.queue.claim(LEASE)
    assert job is not None
    return job


def registered(catalog: Catalog, folder: Path, upload_id: str) -> tuple[Medium, list[Path]]:
    medium, files = shelved(catalog, folder, upload_id, post_id="p1")
    job = registering(catalog)
    assert catalog.registered(medium.id)
    assert catalog.queue.done(job)
    return known(catalog, medium.id), files


def test_what_was_not_published_in_time_goes_and_its_record_stays(
    catalog: Catalog, tmp_path: Path, clock: FakeClock
) -> None:
    made = [shelved(catalog, tmp_path, "loose"), registered(catalog, tmp_path, "of a post")]
    clock.advance(30 * DAY)
    assert list(retention(catalog, tmp_path, clock).enforce()) == []
    clock.advance(1)
    young, young_files = shelved(catalog, tmp_path, "young")
    deleted = list(retention(catalog, tmp_path, clock).enforce())
    assert {medium.id for medium in deleted} == {medium.id for medium, _ in made}
    for medium, files in made:
        now = known(catalog, medium.id)
        assert (now.status, now.deleted_because, now.deleted_at) == (
            "deleted",
            "retention",
            clock.now,
        )
        assert (now.sha256, now.path) == (medium.sha256, medium.path)
        assert not any(file.exists() for file in files)
    assert known(catalog, young.id) == young
    assert all(file.exists() for file in young_files)
    assert list(retention(catalog, tmp_path, clock).enforce()) == []


def test_the_days_count_from_the_registration(
    catalog: Catalog, tmp_path: Path, clock: FakeClock
) -> None:
    medium, _ = shelved(catalog, tmp_path, "u1", post_id="p1")
    job = registering(catalog)
    clock.advance(29 * DAY)
    assert catalog.registered(medium.id)
    catalog.queue.done(job)
    clock.advance(29 * DAY)
    assert list(retention(catalog, tmp_path, clock).overdue()) == []
    clock.advance(2 * DAY)
    assert [each.id for each in retention(catalog, tmp_path, clock).overdue()] == [medium.id]


def test_a_medium_on_its_way_to_a_post_is_left_alone(
    catalog: Catalog, tmp_path: Path, clock: FakeClock
) -> None:
    """Waiting, running or parked: somebody still has to be told of it."""
    medium, files = shelved(catalog, tmp_path, "u1", post_id="p1")
    clock.advance(1000 * DAY)
    assert list(retention(catalog, tmp_path, clock).enforce()) == []
    job = registering(catalog)
    assert list(retention(catalog, tmp_path, clock).enforce()) == []
    assert catalog.failed(job, reason_for(job.kind, Cause.AWAY), "away")
    assert list(retention(catalog, tmp_path, clock).enforce()) == []
    assert known(catalog, medium.id).status == "failed"
    assert all(file.exists() for file in files)


def test_a_failed_examination_is_left_for_the_operator(
    catalog: Catalog, tmp_path: Path, clock: FakeClock
) -> None:
    medium = catalog.receive(received("u1"))
    job = registering(catalog)
    assert catalog.failed(job, reason_for(job.kind, Cause.ERROR), "disk full")
    clock.advance(1000 * DAY)
    assert list(retention(catalog, tmp_path, clock).enforce()) == []
    assert known(catalog, medium.id).status == "failed"


def test_what_found_a_post_in_the_last_moment_stays(
    catalog: Catalog, tmp_path: Path, clock: FakeClock
) -> None:
    medium, files = shelved(catalog, tmp_path, "u1")
    clock.advance(31 * DAY)
    before = clock.now - timedelta(days=30)
    (seen,) = catalog.overdue(before, after=None, limit=10)
    catalog.database.write(
        lambda c: c.exec_driver_sql(f"UPDATE media SET post_id = 'p1' WHERE id = '{medium.id}'")
    )
    assert not catalog.retire(seen.id, before)
    assert known(catalog, medium.id).status == "ready"
    assert all(file.exists() for file in files)


def test_without_days_nothing_goes(catalog: Catalog, tmp_path: Path, clock: FakeClock) -> None:
    shelved(catalog, tmp_path, "u1")
    clock.advance(100_000 * DAY)
    keeper = retention(catalog, tmp_path, clock, days=0)
    keeper.run()
    assert (list(keeper.overdue()), list(keeper.enforce())) == ([], [])


def test_more_than_one_page(
    catalog: Catalog, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processing.retention.BATCH", 2)
    ids = [shelved(catalog, tmp_path, f"u{number}")[0].id for number in range(5)]
    clock.advance(31 * DAY)
    keeper = retention(catalog, tmp_path, clock)
    assert sorted(each.id for each in keeper.overdue()) == sorted(ids)
    assert len(list(keeper.enforce())) == 5


def test_a_process_that_dies_before_the_files_are_gone_leaves_a_job(
    catalog: Catalog, tmp_path: Path, clock: FakeClock
) -> None:
    medium, files = shelved(catalog, tmp_path, "u1")
    clock.advance(31 * DAY)
    assert catalog.retire(medium.id, clock.now)
    (job,) = catalog.queue.of_medium(medium.id)
    assert job.kind == CLEAR
    worker = worker_for(catalog, tmp_path)
    assert worker._tasks.run(job) == "deleted"
    assert not any(file.exists() for file in files)
    assert worker._tasks.run(job) == "deleted"


def test_a_file_that_cannot_go_does_not_keep_the_others(
    catalog: Catalog, tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    stuck, (path, _) = shelved(catalog, tmp_path, "u1")
    path.unlink()
    path.mkdir()
    _, files = shelved(catalog, tmp_path, "u2")
    clock.advance(31 * DAY)
    assert len(list(retention(catalog, tmp_path, clock).enforce())) == 2
    assert not any(file.exists() for file in files)
    assert stuck.id in caplog.text
    assert [job.kind for job in catalog.queue.of_medium(stuck.id)] == [CLEAR]


def test_a_round_is_made_once_an_hour(
    catalog: Catalog, tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "processing.retention")
    keeper = retention(catalog, tmp_path, clock)
    medium, _ = shelved(catalog, tmp_path, "u1")
    clock.advance(30 * DAY - 600)
    keeper.run()
    clock.advance(3599)
    keeper.run()
    assert known(catalog, medium.id).status == "ready"
    clock.advance(1)
    keeper.run()
    assert known(catalog, medium.id).status == "deleted"
    assert caplog.messages == ["deleted 1 media that were not published in time"]


def test_a_round_that_failed_is_made_again(
    catalog: Catalog,
    tmp_path: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    medium, _ = shelved(catalog, tmp_path, "u1")
    clock.advance(31 * DAY)
    keeper = retention(catalog, tmp_path, clock)
    with monkeypatch.context() as away:
        away.setattr(catalog, "overdue", lambda *_, **__: 1 / 0)
        keeper.run()
    assert "did not finish" in caplog.text
    keeper.run()
    assert known(catalog, medium.id).status == "deleted"
