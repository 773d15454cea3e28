import threading
from datetime import timedelta

import pytest

from processing.catalog import Catalog
from processing.lanes import Kinds
from processing.queue import Job, Queue
from tests.records import FakeClock

LEASE = 30.0


@pytest.fixture
def queue(catalog: Catalog) -> Queue:
    return catalog.queue


def claimed(queue: Queue) -> Job:
    job = queue.claim(LEASE)
    assert job is not None
    return job


def put(queue: Queue, key: str = "k1", delay: float = 0.0) -> bool:
    return queue.put("process", key, {"media_id": key}, timedelta(seconds=delay))


def test_an_empty_queue_has_no_job(queue: Queue) -> None:
    assert queue.claim(LEASE) is None


def test_a_job_is_claimed_once_and_done_once(queue: Queue) -> None:
    assert put(queue)
    job = claimed(queue)
    assert (job.kind, job.key, job.payload, job.attempts) == (
        "process",
        "k1",
        {"media_id": "k1"},
        1,
    )
    assert queue.claim(LEASE) is None
    assert queue.done(job)
    assert not queue.done(job)
    assert queue.waiting() == []


def test_a_key_waits_only_once(queue: Queue) -> None:
    assert put(queue)
    assert not put(queue)
    assert len(queue.waiting()) == 1


def test_a_done_key_may_come_again(queue: Queue) -> None:
    put(queue)
    queue.done(claimed(queue))
    assert put(queue)


def test_the_one_that_waits_longest_is_first(queue: Queue, clock: FakeClock) -> None:
    put(queue, "late", delay=5)
    put(queue, "soon")
    assert claimed(queue).key == "soon"
    assert queue.claim(LEASE) is None
    clock.advance(5)
    assert claimed(queue).key == "late"


def test_a_handicap_lets_others_go_first_for_so_long(queue: Queue, clock: FakeClock) -> None:
    queue.put("process", "long", {}, handicap=timedelta(seconds=60))
    clock.advance(59)
    put(queue, "came in time")
    clock.advance(2)
    put(queue, "came too late")
    assert [claimed(queue).key for _ in range(3)] == ["came in time", "long", "came too late"]


def test_only_the_kinds_that_are_wanted_are_claimed(queue: Queue) -> None:
    for kind in ("process", "register", "hook"):
        queue.put(kind, kind, {})
    named = frozenset({"register", "hook"})
    assert queue.claim(LEASE, Kinds(frozenset(), others=False)) is None
    first = queue.claim(LEASE, Kinds(named, others=False))
    assert first is not None
    assert first.kind == "register"
    other = queue.claim(LEASE, Kinds(named, others=True))
    assert other is not None
    assert other.kind == "process"
    assert queue.claim(LEASE, Kinds(named, others=True)) is None
    assert claimed(queue).kind == "hook"


def test_what_comes_again_does_not_go_before_what_is_new(queue: Queue, clock: FakeClock) -> None:
    """Many jobs that wait for the same service would else keep all others from their turn."""
    put(queue, "postponed")
    put(queue, "failed")
    put(queue, "parked")
    again = timedelta(seconds=10)
    assert queue.postpone(claimed(queue), "the backend is away", again)
    assert queue.retry(claimed(queue), "disk full", again)
    assert queue.park(claimed(queue), "hopeless")
    clock.advance(5)
    put(queue, "new")
    clock.advance(10)
    assert queue.replay(queue.failed()[0].id)
    order = [claimed(queue).key for _ in range(4)]
    assert order == ["new", "postponed", "failed", "parked"]


def test_a_pause_can_be_ended(queue: Queue, clock: FakeClock) -> None:
    put(queue)
    job = claimed(queue)
    assert not queue.hasten(job.id)
    assert queue.postpone(job, "the backend is away", timedelta(hours=1))
    assert queue.claim(LEASE) is None
    assert queue.hasten(job.id)
    queue.park(claimed(queue), "hopeless")
    assert not queue.hasten(job.id)


def test_a_job_tells_what_it_is_at(queue: Queue, clock: FakeClock) -> None:
    put(queue)
    job = claimed(queue)
    assert queue.tell(job, "probe", 0.25)
    seen = queue.get(job.id)
    assert seen is not None
    assert (seen.step, seen.progress) == ("probe", 0.25)
    clock.advance(LEASE)
    fresh = claimed(queue)
    assert (fresh.step, fresh.progress) == (None, None)
    assert not queue.tell(job, "probe", 0.5)
    assert queue.tell(fresh, "register", None)
    assert queue.done(fresh)
    assert queue.get(job.id) is None


def test_the_jobs_of_a_medium(queue: Queue) -> None:
    queue.put("process", "process:m1", {"media_id": "m1"})
    queue.put("process", "process:m2", {"media_id": "m2"})
    queue.put("dance", "dance:m1", {"media_id": "m1"})
    assert [job.key for job in queue.of_medium("m1")] == ["process:m1", "dance:m1"]
    assert queue.of_medium("m3") == []


def test_a_lease_runs_out_and_the_stale_worker_is_fenced_off(
    queue: Queue, clock: FakeClock
) -> None:
    put(queue)
    stale = claimed(queue)
    clock.advance(LEASE)
    fresh = claimed(queue)
    assert fresh.attempts == 2
    assert not queue.heartbeat(stale, LEASE)
    assert not queue.retry(stale, "too late", timedelta(0))
    assert not queue.release(stale)
    assert not queue.park(stale, "too late")
    assert not queue.done(stale)
    assert queue.done(fresh)


def test_a_heartbeat_prolongs_the_lease(queue: Queue, clock: FakeClock) -> None:
    put(queue)
    job = claimed(queue)
    clock.advance(LEASE - 1)
    assert queue.heartbeat(job, LEASE)
    clock.advance(LEASE - 1)
    assert queue.claim(LEASE) is None
    assert queue.done(job)


def test_a_retry_waits_and_remembers_why(queue: Queue, clock: FakeClock) -> None:
    put(queue)
    assert queue.retry(claimed(queue), "disk full", timedelta(seconds=8))
    assert queue.claim(LEASE) is None
    clock.advance(8)
    job = claimed(queue)
    assert (job.attempts, job.last_error) == (2, "disk full")


def test_a_postponed_job_has_used_up_no_attempt_of_its_own(queue: Queue, clock: FakeClock) -> None:
    put(queue)
    claimed(queue)
    clock.advance(LEASE)
    after_a_crash = claimed(queue)
    assert queue.postpone(after_a_crash, "the backend is away", timedelta(seconds=8))
    assert not queue.postpone(after_a_crash, "twice", timedelta(0))
    assert queue.claim(LEASE) is None
    clock.advance(8)
    job = claimed(queue)
    assert (job.attempts, job.postponed, job.last_error) == (2, 1, "the backend is away")


def test_a_replayed_job_is_as_patient_as_a_new_one(queue: Queue, clock: FakeClock) -> None:
    put(queue)
    queue.postpone(claimed(queue), "the backend is away", timedelta(seconds=8))
    clock.advance(8)
    queue.park(claimed(queue), "the backend is away")
    clock.advance(60)
    assert queue.replay(queue.failed()[0].id)
    job = claimed(queue)
    assert (job.postponed, job.begun_at) == (0, clock.now)
    assert job.created_at < job.begun_at


def test_a_released_job_is_free_at_once_with_its_attempt_given_back(queue: Queue) -> None:
    put(queue)
    assert queue.release(claimed(queue))
    assert claimed(queue).attempts == 1


def test_a_parked_job_waits_for_its_replay(queue: Queue, clock: FakeClock) -> None:
    put(queue)
    assert queue.park(claimed(queue), "it kills its worker")
    clock.advance(10 * LEASE)
    assert queue.claim(LEASE) is None
    assert not put(queue)
    (parked,) = queue.failed()
    assert (parked.parked, parked.last_error) == (True, "it kills its worker")
    assert queue.replay(parked.id)
    assert not queue.replay(parked.id)
    assert claimed(queue).attempts == 1
    assert queue.failed() == []


def test_a_job_that_was_only_read_gives_no_right_to_it(queue: Queue) -> None:
    put(queue)
    (seen,) = queue.waiting()
    assert not queue.done(seen)
    assert not queue.park(seen, "not mine")
    assert len(queue.waiting()) == 1


def test_an_endless_error_text_is_cut(queue: Queue) -> None:
    put(queue)
    queue.park(claimed(queue), "x" * 100_000)
    assert len(queue.failed()[0].last_error or "") == 2000


def test_workers_side_by_side_never_claim_the_same_job(
    queue: Queue, database_url: str, clock: FakeClock
) -> None:
    for number in range(60):
        put(queue, f"k{number}")
    seen: list[str] = []

    def work() -> None:
        mine = Catalog(database_url, clock=clock)
        while (job := mine.queue.claim(LEASE)) is not None:
            seen.append(job.key)
            assert mine.queue.done(job)
        mine.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(seen) == sorted(f"k{number}" for number in range(60))
