"""Durable jobs: rows under a lease, so that a worker's death gives its job to another.

A row is visible when its `visible_at` has passed; of the visible ones the lowest `rank_at` is
next (see turns.py). Claiming pushes `visible_at` to the lease's end, counts an attempt and sets a
new token; whoever holds the token may renew, finish or give
back. A worker that dies renews nothing, and its job becomes visible again by itself. All moments
come from the clocks of the machines that work here: keep these within a second or two.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    String,
    Update,
    bindparam,
    delete,
    exists,
    literal,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from processing.database import Database
from processing.lanes import Kinds
from processing.moments import Clock, utc_now
from processing.tables import jobs
from processing.turns import AT_ONCE

JobState = Literal["waiting", "running", "parked"]

ERROR_LENGTH = 2000
ALL_KINDS = Kinds(frozenset(), others=True)
NO_DELAY = timedelta(0)


@dataclass(frozen=True, slots=True)
class Order:
    """A job that is yet to be put; see `Queue.put`."""

    kind: str
    key: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the queue, as it was when it was read.

    `rank_at` orders the visible jobs; `step` and `progress` (0 to 1) tell what its worker does.
    `begun_at` is its creation or its last replay, `postponed` how often since then the work
    found that a service it needs is away.
    """

    id: int
    kind: str
    key: str
    payload: Mapping[str, Any]
    visible_at: datetime
    attempts: int
    token: str | None
    last_error: str | None
    parked: bool
    created_at: datetime
    media_id: str | None
    rank_at: datetime
    step: str | None
    progress: float | None
    begun_at: datetime
    postponed: int

    def state(self, now: datetime) -> JobState:
        """Whether somebody works on it; a job whose lease has run out waits for another worker."""
        if self.parked:
            return "parked"
        return "running" if self.token is not None and self.visible_at > now else "waiting"


class Queue:
    """The jobs table and its rules; jobs may run more than once, so their steps are idempotent."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        """Nothing is read before the first call."""
        self._database = database
        self._clock = clock
        self._insert = database.insert_if_new(jobs)
        self._any_visible = {how: select(exists().where(_visible(how))) for how in (False, True)}
        self._claim = {how: _claim_statement(how) for how in (False, True)}

    def put(
        self,
        kind: str,
        key: str,
        payload: Mapping[str, Any],
        delay: timedelta = NO_DELAY,
        handicap: timedelta = AT_ONCE,
    ) -> bool:
        """Add a job that becomes visible after `delay`; False when the key is waiting already.

        Jobs that become visible within `handicap` after it may go before it.
        """
        return self._database.write(
            lambda connection: self.put_within(connection, kind, key, payload, delay, handicap)
        )

    def put_within(
        self,
        connection: Connection,
        kind: str,
        key: str,
        payload: Mapping[str, Any],
        delay: timedelta = NO_DELAY,
        handicap: timedelta = AT_ONCE,
    ) -> bool:
        """`put` as a part of a transaction that also writes what the job is about."""
        now = self._clock()
        values = {
            "kind": kind,
            "key": key,
            "payload": dict(payload),
            "visible_at": now + delay,
            "attempts": 0,
            "token": None,
            "last_error": None,
            "parked": False,
            "created_at": now,
            "media_id": payload.get("media_id"),
            "rank_at": now + delay + handicap,
            "step": None,
            "progress": None,
            "begun_at": now,
            "postponed": 0,
        }
        return self._insert(connection, values)

    def claim(self, lease_seconds: float, kinds: Kinds = ALL_KINDS) -> Job | None:
        """The visible job whose turn it is, now ours for `lease_seconds`; None when idle.

        The attempt is counted here, before the work, so that a file that kills its worker
        is noticed.
        """
        now = self._clock()
        # An idle worker asks four times a second; a read does not take SQLite's write lock.
        values: dict[str, Any] = {"now": now, "kinds": sorted(kinds.named)}
        any_visible, claim = self._any_visible[kinds.others], self._claim[kinds.others]
        if not self._database.read(lambda c: c.scalar(any_visible, values)):
            return None
        values |= {
            "lease_end": now + timedelta(seconds=lease_seconds),
            "new_token": uuid.uuid4().hex,
        }
        row = self._database.write(lambda c: c.execute(claim, values).one_or_none())
        return None if row is None else _job(row)

    def heartbeat(self, job: Job, lease_seconds: float) -> bool:
        """Renew the lease; False when the job is no longer ours."""
        return self._as_owner(job, visible_at=self._clock() + timedelta(seconds=lease_seconds))

    def done(self, job: Job) -> bool:
        """Forget the job; False when it is no longer ours."""
        statement = delete(jobs).where(_held_by(job))
        return self._database.write(lambda c: c.execute(statement).rowcount == 1)

    def retry(self, job: Job, error: str, delay: timedelta) -> bool:
        """Give the job back until `delay` has passed; False when it is no longer ours.

        Its turn is then as if it came anew: many that fail at once do not keep new ones waiting.
        """
        visible_at = self._clock() + delay
        return self._as_owner(
            job,
            visible_at=visible_at,
            rank_at=max(job.rank_at, visible_at),
            token=None,
            last_error=error[:ERROR_LENGTH],
        )

    def postpone(self, job: Job, error: str, delay: timedelta) -> bool:
        """`retry` without having used up an attempt; False when the job is no longer ours.

        Only this attempt is given back: those that ended with a worker's death stay counted.
        """
        visible_at = self._clock() + delay
        return self._as_owner(
            job,
            visible_at=visible_at,
            rank_at=max(job.rank_at, visible_at),
            token=None,
            last_error=error[:ERROR_LENGTH],
            attempts=max(0, job.attempts - 1),
            postponed=job.postponed + 1,
        )

    def release(self, job: Job) -> bool:
        """Give the job back at once, as if it had not been claimed; False when not ours."""
        return self._as_owner(
            job, visible_at=self._clock(), token=None, attempts=max(0, job.attempts - 1)
        )

    def tell(self, job: Job, step: str, progress: float | None) -> bool:
        """Note what the job is at (`progress` from 0 to 1); False when it is no longer ours.

        Each call is a write; the worker makes at most one a second for each job.
        """
        return self._as_owner(job, step=step, progress=progress)

    def park(self, job: Job, error: str) -> bool:
        """Put the job aside until somebody replays it; False when it is no longer ours."""
        return self._database.write(lambda connection: self.park_within(connection, job, error))

    def park_within(self, connection: Connection, job: Job, error: str) -> bool:
        """`park` as a part of a wider transaction."""
        parked = update(jobs).where(_held_by(job)).values(parked=True, token=None)
        last_words = parked.values(last_error=error[:ERROR_LENGTH])
        return connection.execute(last_words).rowcount == 1

    def replay(self, job_id: int) -> bool:
        """Make a parked job visible with all its attempts again; False when there is none."""
        statement = self._unpark().where(jobs.c.id == job_id)
        return self._database.write(lambda c: c.execute(statement).rowcount == 1)

    def hasten(self, job_id: int) -> bool:
        """End the pause of a waiting job; False when there is none, or it runs or is parked."""
        at_rest = (jobs.c.id == job_id) & jobs.c.parked.is_(False) & jobs.c.token.is_(None)
        now = self._clock()
        statement = update(jobs).where(at_rest).values(visible_at=now, rank_at=now)
        return self._database.write(lambda c: c.execute(statement).rowcount == 1)

    def replay_within(self, connection: Connection, key: str) -> bool:
        """`replay` by the job's key, as a part of a wider transaction."""
        return connection.execute(self._unpark().where(jobs.c.key == key)).rowcount == 1

    def drop_parked_within(self, connection: Connection, key: str) -> bool:
        """Forget a parked job, as a part of a wider transaction; False when there is none."""
        parked = delete(jobs).where(jobs.c.key == key, jobs.c.parked.is_(True))
        return connection.execute(parked).rowcount == 1

    def get(self, job_id: int) -> Job | None:
        """The job with this number; None when there is none, or when it is done."""
        return next(iter(self._list(jobs.c.id == job_id)), None)

    def of_medium(self, media_id: str) -> Sequence[Job]:
        """All jobs about this medium that are not done, in the order in which they were put."""
        return self._list(jobs.c.media_id == media_id)[::-1]

    def failed(self, limit: int | None = 100) -> Sequence[Job]:
        """The parked jobs, newest first; without a limit all."""
        return self._list(jobs.c.parked.is_(True), limit)

    def waiting(self, limit: int | None = 100) -> Sequence[Job]:
        """The jobs that wait or run, newest first; without a limit all."""
        return self._list(jobs.c.parked.is_(False), limit)

    def _list(self, which: ColumnElement[bool], limit: int | None = None) -> Sequence[Job]:
        query = select(jobs).where(which).order_by(jobs.c.id.desc()).limit(limit)
        return self._database.read(lambda c: [_job(row) for row in c.execute(query)])

    def _unpark(self) -> Update:
        now = self._clock()
        return (
            update(jobs)
            .where(jobs.c.parked.is_(True))
            .values(
                parked=False,
                attempts=0,
                postponed=0,
                token=None,
                visible_at=now,
                rank_at=now,
                begun_at=now,
            )
        )

    def _as_owner(self, job: Job, **values: Any) -> bool:
        statement = update(jobs).where(_held_by(job)).values(**values)
        return self._database.write(lambda c: c.execute(statement).rowcount == 1)


def _visible(all_but: bool) -> ColumnElement[bool]:
    kinds: BindParameter[Any] = bindparam("kinds", expanding=True)
    wanted = jobs.c.kind.not_in(kinds) if all_but else jobs.c.kind.in_(kinds)
    return (jobs.c.parked.is_(False)) & (jobs.c.visible_at <= bindparam("now")) & wanted


def _held_by(job: Job) -> ColumnElement[bool]:
    # literal(): a plain None would become IS NULL, and match a job that nobody holds.
    return (jobs.c.id == job.id) & (jobs.c.token == literal(job.token, String))


def _claim_statement(all_but: bool) -> ReturningUpdate[Any]:
    # SKIP LOCKED lets PostgreSQL's workers claim side by side; SQLite leaves it out by itself.
    first = (
        select(jobs.c.id)
        .where(_visible(all_but))
        .order_by(jobs.c.rank_at, jobs.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    return (
        update(jobs)
        .where(jobs.c.id == first)
        .values(
            visible_at=bindparam("lease_end"),
            token=bindparam("new_token"),
            attempts=jobs.c.attempts + 1,
            step=None,
            progress=None,
        )
        .returning(jobs)
    )


def _job(row: Row[Any]) -> Job:
    return Job(**row._mapping)
