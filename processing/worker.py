"""The worker: claims jobs, runs them side by side, and lets nothing get lost on the way."""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from processing.catalog import Catalog
from processing.fates import Cause, reason_for
from processing.lanes import Kinds, Lane, Lanes
from processing.moments import Clock, utc_now
from processing.patience import GiveUp, NotNow
from processing.queue import Job
from processing.tasks import Tasks
from processing.telling import heard_by
from processing.wake import Waker

logger = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
SLOT_SECONDS = 0.25
AFTER_DATABASE_ERROR_SECONDS = 1.0
ERRAND_SECONDS = 5.0
HEARTBEATS_PER_LEASE = 3
TAKEN_OVER = "taken over by another worker"


@dataclass(frozen=True, slots=True)
class Pace:
    """How many jobs at once, how long, how often.

    `lease_seconds` is how late a killed worker's job is taken up by another. `job_attempts`
    counts runs, also those that ended with the worker's death. The pause before the next try
    is `backoff_seconds`, doubled with each one, `longest_backoff_seconds` at most.

    A job whose work raises NotNow uses up no attempt and is tried for `patience_seconds`; its
    pauses are drawn from 0 to `backoff_seconds`, doubled with each one, `longest_pause_seconds`
    at most. `stop` waits `shutdown_seconds` for running jobs; the rounds are made every
    `reconcile_seconds`, and what jobs tell of themselves is noted every `tell_seconds`.
    """

    concurrency: int = 2
    lease_seconds: float = 30.0
    job_attempts: int = 5
    backoff_seconds: float = 2.0
    longest_backoff_seconds: float = 300.0
    patience_seconds: float = 24 * 3600.0
    longest_pause_seconds: float = 900.0
    shutdown_seconds: float = 10.0
    reconcile_seconds: float = 60.0
    tell_seconds: float = 1.0


class _Running:
    """A job under way, what its thread said last, and what of that is in the database."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.thread = threading.current_thread()
        self.heard: tuple[str, float | None] | None = None
        self.told: tuple[str, float | None] | None = None

    def hear(self, step: str, progress: float | None) -> None:
        self.heard = (step, progress)


class Worker:
    """One process's worker; several may run, on one machine or on many."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        tasks: Tasks,
        rounds: Sequence[Callable[[], object]],
        waker: Waker,
        pace: Pace | None = None,
        lanes: Sequence[Lane] = (),
        clock: Clock = utc_now,
    ) -> None:
        """Nothing runs before `run`; `rounds` are made at the start and every
        `reconcile_seconds`, one after the other, and log their own failures. The slots of `lanes`
        come on top of the pace's concurrency.
        """
        self._clock = clock
        self._catalog = catalog
        self._queue = catalog.queue
        self._tasks = tasks
        self._rounds = tuple(rounds)
        self._waker = waker
        self._pace = pace or Pace()
        self._lanes = Lanes(self._pace.concurrency, lanes)
        self._running: dict[str, _Running] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self._ended = threading.Event()
        self._errands: list[threading.Thread] = []

    def run(self) -> None:
        """Work until `stop`; on return every job is finished or given back.

        Nobody is at work in the catalog then, but jobs that `shutdown_seconds` were too short for,
        and a round that takes more than seconds.
        """
        lease = self._pace.lease_seconds / HEARTBEATS_PER_LEASE
        self._every(lease, self._renew_leases, at_once=False)
        self._every(self._pace.tell_seconds, self._tell_progress, at_once=False)
        self._every(self._pace.reconcile_seconds, self._make_rounds, at_once=True)
        try:
            while not self._stopping:
                self._step()
        finally:
            self._give_back()
            self._ended.set()
            for errand in self._errands:
                errand.join(ERRAND_SECONDS)

    def stop(self) -> None:
        """Claim no more; `run` then waits for the running jobs and returns.

        A plain flag, so that a signal handler may call this: a lock could be held by the very
        thread that the signal interrupted.
        """
        self._stopping = True

    def _make_rounds(self) -> None:
        for round_ in self._rounds:
            if self._stopping:
                return
            round_()

    def _step(self) -> None:
        kinds = self._lanes.free(SLOT_SECONDS)
        # The slot may have become free because the last job ended while we were stopping.
        job = None if kinds is None or self._stopping else self._claim(kinds)
        if job is None:
            return
        self._lanes.take(job.kind)
        # Not a pool: its threads would keep a stopped process alive until the last job ends.
        running = _Running(job)
        running.thread = threading.Thread(
            target=self._work, args=(running,), daemon=True, name=job.key
        )
        with self._lock:
            self._running[_token(job)] = running
        running.thread.start()

    def _claim(self, kinds: Kinds) -> Job | None:
        try:
            job = self._queue.claim(self._pace.lease_seconds, kinds)
        except Exception:
            logger.exception("no job could be claimed; the database is asked again in a second")
            time.sleep(AFTER_DATABASE_ERROR_SECONDS)
            return None
        if job is None:
            self._waker.wait(IDLE_SECONDS)
        return job

    def _work(self, running: "_Running") -> None:
        started, job = time.monotonic(), running.job
        try:
            with heard_by(running.hear):
                outcome = self._attempt(running)
        except Exception:
            # The outcome could not be written. The lease runs out and the job comes again.
            logger.exception("job %s: the database did not take its outcome", job.key)
            outcome = "left to its lease"
        finally:
            with self._lock:
                self._running.pop(_token(job), None)
            self._lanes.give_back(job.kind)
            # The job may have put the next one.
            self._waker.wake()
        seconds = time.monotonic() - started
        logger.info("medium %s: %s took %.2f s: %s", job.media_id, job.kind, seconds, outcome)

    def _attempt(self, running: "_Running") -> str:
        job, most = running.job, self._pace.job_attempts
        if job.attempts > most:
            error = job.last_error or f"Its worker died in each of {most} tries."
            return self._fail(job, Cause.CRASH, error)
        try:
            outcome = self._tasks.run(job)
        except Exception as error:
            # The step at which it ended stays to be seen while the job waits.
            self._tell(running)
            return self._after(job, error)
        self._queue.done(job)
        return outcome

    def _after(self, job: Job, error: Exception) -> str:
        if isinstance(error, NotNow):
            return self._postpone(job, error)
        if isinstance(error, GiveUp):
            return self._fail(job, Cause.ERROR, str(error))
        logger.warning("job %s failed in try %d", job.key, job.attempts, exc_info=error)
        return self._try_again(job, f"{type(error).__name__}: {error}")

    def _try_again(self, job: Job, error: str) -> str:
        if job.attempts >= self._pace.job_attempts:
            return self._fail(job, Cause.ERROR, error)
        delay = self._backoff(job.attempts)
        if not self._queue.retry(job, error, timedelta(seconds=delay)):
            return TAKEN_OVER
        return f"to be tried again in {delay:.1f} s"

    def _postpone(self, job: Job, refusal: NotNow) -> str:
        give_up_at = job.begun_at + timedelta(seconds=self._pace.patience_seconds)
        left = (give_up_at - self._clock()).total_seconds()
        if left <= 0:
            return self._fail(job, Cause.AWAY, str(refusal))
        # The last try is made when the patience ends, and not one pause before.
        delay = min(left, self._pause(job.postponed, refusal.after_seconds or 0.0))
        if not self._queue.postpone(job, str(refusal), timedelta(seconds=delay)):
            return TAKEN_OVER
        return f"postponed by {delay:.1f} s: {refusal}"

    def _fail(self, job: Job, cause: Cause, error: str) -> str:
        parked = self._catalog.failed(job, reason_for(job.kind, cause), error)
        return "failed" if parked else TAKEN_OVER

    def _backoff(self, attempts: int) -> float:
        longest = self._pace.longest_backoff_seconds
        pause = min(longest, self._pace.backoff_seconds * 2.0 ** (attempts - 1))
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 (jitter, no secret)

    def _pause(self, postponed: int, at_least: float) -> float:
        # Full jitter: all jobs were put off by the same outage, and must not come back as one.
        longest = self._pace.longest_pause_seconds
        bound = min(longest, self._pace.backoff_seconds * 2.0 ** min(postponed, 30))
        drawn = random.uniform(0.0, bound)  # noqa: S311 (jitter, no secret)
        return min(longest, max(drawn, at_least))

    def _renew_leases(self) -> None:
        for job in [running.job for running in self._now_running()]:
            if not self._queue.heartbeat(job, self._pace.lease_seconds):
                logger.warning("job %s: the lease was lost, another worker may run it", job.key)

    def _give_back(self) -> None:
        deadline = time.monotonic() + self._pace.shutdown_seconds
        for running in self._now_running():
            running.thread.join(max(0.0, deadline - time.monotonic()))
            if running.thread.is_alive() and self._queue.release(running.job):
                logger.info("job %s: given back, the worker stops", running.job.key)

    def _tell_progress(self) -> None:
        for running in self._now_running():
            self._tell(running)

    def _tell(self, running: "_Running") -> None:
        heard = running.heard
        if heard is not None and heard != running.told:
            running.told = heard
            self._queue.tell(running.job, *heard)

    def _now_running(self) -> list["_Running"]:
        with self._lock:
            return list(self._running.values())

    def _every(self, seconds: float, errand: Callable[[], None], *, at_once: bool) -> None:
        def loop() -> None:
            if at_once:
                _logged(errand)
            while not self._ended.wait(seconds):
                _logged(errand)

        thread = threading.Thread(target=loop, daemon=True, name=f"worker {errand.__name__}")
        thread.start()
        self._errands.append(thread)


def _token(job: Job) -> str:
    return f"{job.id}:{job.token}"


def _logged(errand: Callable[[], None]) -> None:
    try:
        errand()
    except Exception:
        logger.exception("the worker's %s failed; it will run again", errand.__name__)
