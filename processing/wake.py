"""How a sleeping worker learns that there is work: by asking often, or by Redis.

Waking is a courtesy. The jobs are in the database, and a worker that is never woken finds them
by asking; so nothing here may raise, and nothing here is relied on.
"""

import logging
import threading
import time
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
WAKE_KEY = "tusd:wake"
MOST_PENDING_WAKES = 64
ANSWER_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 2.0
SHORTEST_WAIT_SECONDS = 0.01
LEAVE_ALONE_SECONDS = 5.0


class Waker(Protocol):
    """The two ends of the bell."""

    def wake(self) -> None:
        """Say that there is a job; never raises, never takes long."""

    def wait(self, timeout_seconds: float) -> None:
        """Return when there may be a job, after `timeout_seconds` at the latest."""


class PollingWaker:
    """No bell between processes: who waits looks again after a quarter of a second."""

    def __init__(self, poll_seconds: float = POLL_SECONDS) -> None:
        """`poll_seconds` is the longest time that a job of another process stays unseen."""
        self._poll_seconds = poll_seconds
        self._within_this_process = threading.Event()

    def wake(self) -> None:
        """Wake this process's own worker; others find the job at their next look."""
        self._within_this_process.set()

    def wait(self, timeout_seconds: float) -> None:
        """Sleep for one polling interval, or the timeout if that is shorter."""
        self._within_this_process.wait(min(self._poll_seconds, timeout_seconds))
        self._within_this_process.clear()


class RedisWaker:
    """A short list in Redis: one entry wakes one worker, on whatever machine.

    While Redis does not answer this is a PollingWaker; the log says so once for each outage.
    """

    def __init__(self, url: str, *, key: str = WAKE_KEY) -> None:
        """Connect to nothing yet; `url` as in `redis://host:6379/0`."""
        # Our own pause after a failure replaces the client's retries, which would add up to
        # seconds in front of an upload's last answer.
        options: dict[str, Any] = {
            "socket_connect_timeout": ANSWER_SECONDS,
            "retry": Retry(NoBackoff(), 0),
        }
        self._bell = redis.Redis.from_url(url, socket_timeout=ANSWER_SECONDS, **options)
        # Longer than the longest wait, yet finite: a network that swallows packets must not
        # leave a worker asleep for ever.
        self._ear = redis.Redis.from_url(
            url, socket_timeout=LONGEST_WAIT_SECONDS + ANSWER_SECONDS, **options
        )
        self._key = key
        self._polling = PollingWaker()
        self._leave_alone_until = 0.0
        self._lock = threading.Lock()

    def wake(self) -> None:
        """Add an entry; while Redis is away, nothing."""
        if self._is_away():
            return
        try:
            with self._bell.pipeline(transaction=False) as pipeline:
                pipeline.lpush(self._key, 1)
                # With every worker busy or gone the entries would only pile up.
                pipeline.ltrim(self._key, 0, MOST_PENDING_WAKES - 1)
                pipeline.execute()
        except (redis.RedisError, OSError) as error:
            self._note_failure(error)
        else:
            self._note_success()

    def wait(self, timeout_seconds: float) -> None:
        """Sleep until an entry comes, or the timeout; while Redis is away, as if polling."""
        if self._is_away():
            self._polling.wait(timeout_seconds)
            return
        # For Redis, 0 is for ever.
        pause = min(max(timeout_seconds, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)
        try:
            self._ear.blpop([self._key], timeout=pause)
        except (redis.RedisError, OSError) as error:
            self._note_failure(error)
            self._polling.wait(timeout_seconds)
        else:
            self._note_success()

    def _is_away(self) -> bool:
        return time.monotonic() < self._leave_alone_until

    def _note_failure(self, error: Exception) -> None:
        with self._lock:
            first = self._leave_alone_until == 0.0
            self._leave_alone_until = time.monotonic() + LEAVE_ALONE_SECONDS
        if first:
            logger.warning("Redis does not answer; workers poll the database instead: %s", error)

    def _note_success(self) -> None:
        if self._leave_alone_until == 0.0:
            return
        with self._lock:
            self._leave_alone_until = 0.0
        logger.info("Redis answers again; workers are woken by it.")


def waker_for(redis_url: str | None) -> Waker:
    """The waker for this setting."""
    return PollingWaker() if redis_url is None else RedisWaker(redis_url)
