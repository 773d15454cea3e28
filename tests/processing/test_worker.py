import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hooks.posts import EmbeddedPosts
from processing.catalog import DERIVE, REGISTER, Catalog
from processing.declared import Declared
from processing.examined import Derivative, Examined
from processing.lanes import Kinds, Lane, Lanes
from processing.medium import Medium
from processing.moments import utc_now
from processing.patience import GiveUp, NotNow
from processing.telling import tell
from processing.worker import Worker
from tests.records import EXAMINED, FolderFiles, examine, known, migrated, received, worker_for
from tests.services import wait_until


@pytest.fixture
def catalog(database_url: str) -> Iterator[Catalog]:
    with migrated(database_url, utc_now) as catalog:
        yield catalog


@contextmanager
def at_work(worker: Worker) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield thread
    finally:
        worker.stop()
        thread.join(30)
        assert not thread.is_alive()


def receive(catalog: Catalog, folder: Path, upload_id: str = "u1", **changes: object) -> str:
    FolderFiles(folder).add(upload_id)
    return catalog.receive(received(upload_id, **changes)).id


def reaches(catalog: Catalog, media_id: str, status: str) -> None:
    wait_until(lambda: known(catalog, media_id).status == status, f"{media_id} being {status}")


def has_no_jobs(catalog: Catalog) -> None:
    wait_until(lambda: not catalog.queue.waiting(), "the end of the last job")


def test_uploads_become_registered_media(
    catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "processing.worker")
    with at_work(worker_for(catalog, tmp_path)):
        ids = [receive(catalog, tmp_path, f"u{n}", post_id="p1") for n in range(5)]
        for media_id in ids:
            reaches(catalog, media_id, "registered")
        # The line comes after the job is done, and tells a state that may be the next job's.
        for kind in ("process", "register"):
            told = f": {kind} took "
            wait_until(lambda told=told: caplog.text.count(told) == 5, "the lines of five jobs")


def test_as_many_jobs_run_at_once_as_allowed(catalog: Catalog, tmp_path: Path) -> None:
    together = threading.Barrier(3, timeout=30)

    def wait_for_the_others(source: Path, declared: Declared, into: Path) -> Examined:
        together.wait()
        return examine(source, declared, into)

    ids = [receive(catalog, tmp_path, f"u{n}") for n in range(3)]
    with at_work(worker_for(catalog, tmp_path, wait_for_the_others, concurrency=3)):
        for media_id in ids:
            reaches(catalog, media_id, "ready")


def test_media_are_examined_while_everybody_that_is_told_hangs(
    catalog: Catalog, tmp_path: Path
) -> None:
    answer = threading.Event()

    def hang(self: EmbeddedPosts, medium: Medium) -> None:
        assert answer.wait(30)

    def states() -> list[tuple[str, str]]:
        return sorted((job.kind, job.state(utc_now())) for job in catalog.queue.waiting())

    worker = worker_for(catalog, tmp_path, concurrency=1)
    worker._lanes = Lanes(1, [Lane(frozenset({REGISTER}), 2)])
    with pytest.MonkeyPatch.context() as slow:
        slow.setattr(EmbeddedPosts, "register", hang)
        with at_work(worker):
            try:
                ids = [receive(catalog, tmp_path, f"u{n}", post_id="p1") for n in range(6)]
                for media_id in ids:
                    reaches(catalog, media_id, "ready")
                # The last examination is still to be noted as done, or a slot to be filled.
                hanging = [(REGISTER, "running")] * 2 + [(REGISTER, "waiting")] * 4
                wait_until(lambda: states() == hanging, "two that are told, and four that wait")
            finally:
                # Else threads that hang would outlive the worker, and its connections them.
                answer.set()
            for media_id in ids:
                reaches(catalog, media_id, "registered")
            has_no_jobs(catalog)


def test_a_passing_fault_is_tried_again(catalog: Catalog, tmp_path: Path) -> None:
    tries: list[Path] = []

    def third_time_lucky(source: Path, declared: Declared, into: Path) -> Examined:
        tries.append(source)
        if len(tries) < 3:
            raise OSError("no space left on device")
        return examine(source, declared, into)

    media_id = receive(catalog, tmp_path)
    with at_work(worker_for(catalog, tmp_path, third_time_lucky)):
        reaches(catalog, media_id, "ready")
        has_no_jobs(catalog)
    assert len(tries) == 3


def test_a_lasting_fault_fails_the_medium_and_a_retry_can_heal_it(
    catalog: Catalog, tmp_path: Path
) -> None:
    broken = threading.Event()
    broken.set()

    def broken_for_now(source: Path, declared: Declared, into: Path) -> Examined:
        if broken.is_set():
            raise OSError("no space left on device")
        return examine(source, declared, into)

    media_id = receive(catalog, tmp_path)
    with at_work(worker_for(catalog, tmp_path, broken_for_now, job_attempts=2)):
        reaches(catalog, media_id, "failed")
        (parked,) = catalog.queue.failed()
        assert (parked.attempts, parked.last_error) == (2, "OSError: no space left on device")
        assert [r.code for r in known(catalog, media_id).reasons] == ["processing_failed"]
        broken.clear()
        assert catalog.retry(media_id)
        reaches(catalog, media_id, "ready")


def test_a_file_that_killed_every_worker_is_not_tried_once_more(
    catalog: Catalog, tmp_path: Path
) -> None:
    def never(source: Path, declared: Declared, into: Path) -> Examined:
        raise AssertionError("The job's tries were used up.")

    media_id = receive(catalog, tmp_path)
    for _ in range(2):
        assert catalog.queue.claim(lease_seconds=0.0) is not None
    with at_work(worker_for(catalog, tmp_path, never, job_attempts=2)):
        reaches(catalog, media_id, "failed")
    (parked,) = catalog.queue.failed()
    assert parked.last_error == "Its worker died in each of 2 tries."
    assert [r.code for r in known(catalog, media_id).reasons] == ["processing_crashed"]


def test_a_service_that_is_away_uses_up_no_try(catalog: Catalog, tmp_path: Path) -> None:
    tries: list[Path] = []

    def sixth_time_lucky(source: Path, declared: Declared, into: Path) -> Examined:
        tries.append(source)
        if len(tries) < 6:
            raise NotNow("The scanner is away.")
        return examine(source, declared, into)

    media_id = receive(catalog, tmp_path)
    with at_work(worker_for(catalog, tmp_path, sixth_time_lucky, job_attempts=1)):
        reaches(catalog, media_id, "ready")
    assert len(tries) == 6


def test_patience_ends(catalog: Catalog, tmp_path: Path) -> None:
    tries: list[Path] = []

    def away(source: Path, declared: Declared, into: Path) -> Examined:
        tries.append(source)
        raise NotNow("The scanner is away.")

    media_id = receive(catalog, tmp_path)
    with at_work(worker_for(catalog, tmp_path, away, job_attempts=1, patience_seconds=0.5)):
        reaches(catalog, media_id, "failed")
    (parked,) = catalog.queue.failed()
    assert (parked.attempts, parked.last_error) == (1, "The scanner is away.")
    assert parked.postponed == len(tries) - 1 >= 1
    assert utc_now() - parked.begun_at >= timedelta(seconds=0.5)
    assert [r.code for r in known(catalog, media_id).reasons] == ["processing_unavailable"]


def test_a_service_may_say_how_long_to_leave_it_alone(catalog: Catalog, tmp_path: Path) -> None:
    def busy(source: Path, declared: Declared, into: Path) -> Examined:
        raise NotNow("The scanner is busy.", after_seconds=600)

    receive(catalog, tmp_path)
    with at_work(worker_for(catalog, tmp_path, busy)):
        wait_until(lambda: catalog.queue.waiting()[0].postponed == 1, "the first try")
    (waiting,) = catalog.queue.waiting()
    assert timedelta(seconds=590) < waiting.visible_at - utc_now() <= timedelta(seconds=600)


def test_the_services_wish_is_bounded(catalog: Catalog, tmp_path: Path) -> None:
    def busy(source: Path, declared: Declared, into: Path) -> Examined:
        raise NotNow("The scanner is busy.", after_seconds=1e9)

    receive(catalog, tmp_path)
    with at_work(worker_for(catalog, tmp_path, busy, longest_pause_seconds=5.0)):
        wait_until(lambda: catalog.queue.waiting()[0].postponed == 1, "the first try")
    assert catalog.queue.waiting()[0].visible_at - utc_now() <= timedelta(seconds=5)


def test_a_worker_that_dies_while_the_service_is_away_is_still_counted(
    catalog: Catalog, tmp_path: Path
) -> None:
    """Postponements give back their own attempt and no other."""

    def away(source: Path, declared: Declared, into: Path) -> Examined:
        raise NotNow("The scanner is away.")

    media_id = receive(catalog, tmp_path)
    assert catalog.queue.claim(lease_seconds=0.0) is not None
    with at_work(worker_for(catalog, tmp_path, away, job_attempts=2)):
        wait_until(lambda: catalog.queue.waiting()[0].postponed >= 3, "three postponements")
    assert catalog.queue.waiting()[0].attempts == 1
    wait_until(lambda: catalog.queue.claim(lease_seconds=0.0) is not None, "the next turn")
    with at_work(worker_for(catalog, tmp_path, away, job_attempts=2)):
        reaches(catalog, media_id, "failed")
    assert [r.code for r in known(catalog, media_id).reasons] == ["processing_crashed"]


def test_a_job_is_seen_at_its_step(catalog: Catalog, tmp_path: Path) -> None:
    may_go_on, may_end = threading.Event(), threading.Event()

    def slow(source: Path, declared: Declared, into: Path) -> Examined:
        for number in range(1000):
            tell("count", number / 1000)
        tell("probe", 0.25)
        assert may_go_on.wait(30)
        tell("thumbnail", 0.75)
        assert may_end.wait(30)
        raise OSError("no space left on device")

    def step() -> tuple[str | None, float | None]:
        (job,) = catalog.queue.of_medium(media_id)
        return job.step, job.progress

    media_id = receive(catalog, tmp_path)
    worker = worker_for(catalog, tmp_path, slow, tell_seconds=0.02, job_attempts=1)
    with at_work(worker):
        wait_until(lambda: step() == ("probe", 0.25), "the step to be told")
        may_go_on.set()
        wait_until(lambda: step() == ("thumbnail", 0.75), "the next step to be told")
        may_end.set()
        reaches(catalog, media_id, "failed")
    assert step() == ("thumbnail", 0.75)


def test_a_quick_job_does_not_write_its_steps(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog.queue, "tell", lambda *told: pytest.fail(f"told {told}"))
    media_id = receive(catalog, tmp_path)
    with at_work(worker_for(catalog, tmp_path, tell_seconds=60.0)):
        reaches(catalog, media_id, "ready")


def test_what_no_further_try_can_help_is_parked_at_once(catalog: Catalog, tmp_path: Path) -> None:
    tries: list[Path] = []

    def hopeless(source: Path, declared: Declared, into: Path) -> Examined:
        tries.append(source)
        raise GiveUp("The scanner does not know us.")

    media_id = receive(catalog, tmp_path)
    with at_work(worker_for(catalog, tmp_path, hopeless)):
        reaches(catalog, media_id, "failed")
    assert len(tries) == 1
    assert catalog.queue.failed()[0].last_error == "The scanner does not know us."


def test_a_job_that_its_medium_does_not_depend_on_fails_alone(
    catalog: Catalog, tmp_path: Path
) -> None:
    media_id = receive(catalog, tmp_path)
    catalog.queue.put("dance", "dance", {"media_id": media_id})
    with at_work(worker_for(catalog, tmp_path, patience_seconds=0.05)):
        reaches(catalog, media_id, "ready")
        wait_until(lambda: len(catalog.queue.failed()) == 1, "the end of the other job")
    assert known(catalog, media_id).status == "ready"


def test_a_killed_worker_leaves_its_job_to_another(
    catalog: Catalog, database_url: str, tmp_path: Path
) -> None:
    media_id = receive(catalog, tmp_path, post_id="p1")
    command = [sys.executable, "-m", "tests.slow_worker", database_url, str(tmp_path)]
    victim = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    wait_until((tmp_path / "started").exists, "the job's start")
    victim.kill()
    victim.wait()
    assert known(catalog, media_id).status == "processing"
    with at_work(worker_for(catalog, tmp_path)):
        reaches(catalog, media_id, "registered")
        has_no_jobs(catalog)
    files = {path.name: path.read_bytes() for path in (tmp_path / "uploads/alice").iterdir()}
    assert files == {
        "20261122_123005_Holiday.mp4": b"the bytes",
        "20261122_123005_Holiday.thumb.jpg": b"a small picture",
    }


def test_a_long_job_keeps_its_lease(catalog: Catalog, tmp_path: Path) -> None:
    started, may_end = threading.Event(), threading.Event()

    def long(source: Path, declared: Declared, into: Path) -> Examined:
        started.set()
        assert may_end.wait(30)
        return examine(source, declared, into)

    media_id = receive(catalog, tmp_path)
    with at_work(worker_for(catalog, tmp_path, long, lease_seconds=0.6)):
        assert started.wait(30)
        (first,) = catalog.queue.waiting()
        wait_until(lambda: catalog.queue.waiting()[0].visible_at > first.visible_at, "a heartbeat")
        assert catalog.queue.waiting()[0].token == first.token
        may_end.set()
        reaches(catalog, media_id, "ready")


def test_stop_waits_for_the_job_that_runs(catalog: Catalog, tmp_path: Path) -> None:
    started, may_end = threading.Event(), threading.Event()

    def long(source: Path, declared: Declared, into: Path) -> Examined:
        started.set()
        assert may_end.wait(30)
        return examine(source, declared, into)

    media_id = receive(catalog, tmp_path)
    worker = worker_for(catalog, tmp_path, long, concurrency=1)
    with at_work(worker) as thread:
        assert started.wait(30)
        receive(catalog, tmp_path, "u2")
        worker.stop()
        thread.join(0.3)
        assert thread.is_alive()
        may_end.set()
    assert known(catalog, media_id).status == "ready"
    assert len(catalog.queue.waiting()) == 1


def test_stop_gives_back_the_job_that_takes_too_long(catalog: Catalog, tmp_path: Path) -> None:
    started, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def too_long(source: Path, declared: Declared, into: Path) -> Examined:
        started.set()
        try:
            assert may_end.wait(30)
            return EXAMINED
        finally:
            ended.set()

    receive(catalog, tmp_path)
    worker = worker_for(catalog, tmp_path, too_long, shutdown_seconds=0.1)
    with at_work(worker):
        assert started.wait(30)
    (given_back,) = catalog.queue.waiting()
    assert (given_back.attempts, given_back.token) == (0, None)
    assert given_back.visible_at <= utc_now()
    before = set(threading.enumerate())
    may_end.set()
    assert ended.wait(30)
    for thread in before:
        if thread.name.startswith("process:"):
            thread.join(30)


def test_a_stop_waits_for_the_round_under_way_and_begins_no_other(
    catalog: Catalog, tmp_path: Path
) -> None:
    started, may_end, rounds = threading.Event(), threading.Event(), []

    def first() -> None:
        started.set()
        assert may_end.wait(30)
        rounds.append(catalog.find())

    worker = worker_for(catalog, tmp_path)
    worker._rounds = (first, lambda: rounds.append(catalog.find()))
    with at_work(worker) as thread:
        assert started.wait(30)
        worker.stop()
        thread.join(0.5)
        assert thread.is_alive()
        may_end.set()
    assert len(rounds) == 1


def test_a_database_that_is_away_does_not_end_the_worker(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processing.worker.AFTER_DATABASE_ERROR_SECONDS", 0.01)
    claim, failures = catalog.queue.claim, iter([OSError("away"), OSError("away")])

    def away_twice(lease_seconds: float, kinds: Kinds) -> object:
        for failure in failures:
            raise failure
        return claim(lease_seconds, kinds)

    monkeypatch.setattr(catalog.queue, "claim", away_twice)
    media_id = receive(catalog, tmp_path)
    with at_work(worker_for(catalog, tmp_path)):
        reaches(catalog, media_id, "ready")


def test_a_long_derivation_takes_no_slot_of_others(catalog: Catalog, tmp_path: Path) -> None:
    started, may_end = threading.Event(), threading.Event()
    running: list[str] = []
    at_once: list[int] = []

    def promise(source: Path, declared: Declared, into: Path) -> Examined:
        pending = Derivative("720p", "video/mp4", "720p.mp4", None, None, None, "pending")
        return replace(examine(source, declared, into), derivatives=(pending,))

    def transcode(source: Path, wanted: Sequence[Derivative], into: Path) -> Sequence[Derivative]:
        running.append(source.name)
        at_once.append(len(running))
        started.set()
        assert may_end.wait(30)
        running.remove(source.name)
        return [replace(wanted[0], path="720p.mp4", status="failed", reason="timeout")]

    first = receive(catalog, tmp_path, "u1")
    worker = worker_for(catalog, tmp_path, promise, derive=transcode)
    worker._lanes = Lanes(1, [Lane(frozenset({DERIVE}), 1)])
    with at_work(worker):
        assert started.wait(30)
        second = receive(catalog, tmp_path, "u2")
        reaches(catalog, second, "ready")
        assert known(catalog, first).derivatives[0].status == "pending"
        may_end.set()
        has_no_jobs(catalog)
    assert at_once == [1, 1]
    assert {known(catalog, each).derivatives[0].status for each in (first, second)} == {"failed"}
