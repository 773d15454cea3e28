"""`tusd-server jobs`: what is still to be done, what was given up, and another chance for it."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from processing.catalog import PROCESS, REGISTER, Catalog
from processing.moments import utc_now
from processing.queue import Job
from processing.wake import waker_for
from tusd_server.commands.catalog import existing_catalog
from tusd_server.commands.directory import require_data_dir
from tusd_server.commands.words import printable, span
from tusd_server.errors import TusdError
from tusd_server.settings import Settings

ALL = "all"
_ROW = "{:>6}  {:<10}  {:<36}  {:<7}  {:>5}  {:>6}  {:<18}  {}"
_WIDEST_ERROR = 200


class NothingToRetry(TusdError):
    """No job that waits for another chance goes by that name; the text is one sentence."""


def jobs(settings: Settings, *, failed_only: bool, as_json: bool) -> int:
    """Print the jobs in the order in which they were put, parked ones last; the exit status.

    Changes nothing. Raises BadSetting when there is no such directory or no usable database.
    """
    require_data_dir(settings)
    with existing_catalog(settings) as catalog:
        found = _listed(catalog, failed_only=failed_only) if catalog is not None else []
    _print(found, as_json=as_json)
    return 0


def retry(settings: Settings, name: str, *, as_json: bool) -> int:
    """Give a job, all jobs of a medium, or `all` parked ones another chance; the exit status.

    A parked job gets its tries and its patience anew, the pause of a waiting one ends. Prints
    them as they are then. Raises NothingToRetry, and BadSetting as `jobs` does.
    """
    require_data_dir(settings)
    with existing_catalog(settings) as catalog:
        found = _named(catalog, name) if catalog is not None else []
        if not found and name != ALL:
            raise NothingToRetry(
                f"There is no job {printable(name)!r}, and no medium of that id has one; "
                "`tusd-server jobs` lists them."
            )
        retried = [job for job in found if catalog is not None and _retry(catalog, job)]
        after = [catalog.queue.get(job.id) for job in retried] if catalog is not None else []
    if found and not retried:
        raise NothingToRetry("The job is running; it can be retried when it waits or is parked.")
    if retried:
        waker_for(settings.redis_url).wake()
    # A worker may have done one of them meanwhile.
    _print([job for job in after if job is not None], as_json=as_json)
    return 0


def _listed(catalog: Catalog, *, failed_only: bool) -> list[Job]:
    parked = list(catalog.queue.failed(limit=None))[::-1]
    return parked if failed_only else list(catalog.queue.waiting(limit=None))[::-1] + parked


def _named(catalog: Catalog, name: str) -> Sequence[Job]:
    if name == ALL:
        return catalog.queue.failed(limit=None)[::-1]
    if name.isascii() and name.isdigit() and len(name) < 19:
        job = catalog.queue.get(int(name))
        return [] if job is None else [job]
    return catalog.queue.of_medium(name)


def _retry(catalog: Catalog, job: Job) -> bool:
    if not job.parked:
        return catalog.queue.hasten(job.id)
    # A medium that failed leaves that state together with its job. One that somebody deleted
    # meanwhile does not, and its job ends by itself.
    if job.kind in (PROCESS, REGISTER) and catalog.retry(str(job.media_id)):
        return True
    return catalog.queue.replay(job.id)


def _print(found: Iterable[Job], *, as_json: bool) -> None:
    now = utc_now()
    if not as_json:
        print(_ROW.format("ID", "KIND", "MEDIUM", "STATE", "TRIES", "AGE", "STEP", "LAST ERROR"))
    for job in found:
        print(json.dumps(_document(job, now)) if as_json else _row(job, now))


def _row(job: Job, now: datetime) -> str:
    error = printable(" ".join((job.last_error or "").split()))
    return _ROW.format(
        job.id,
        printable(job.kind),
        printable(job.media_id or str(job.payload.get("upload_id", "-"))),
        job.state(now),
        job.attempts,
        span((now - job.created_at).total_seconds()),
        _at(job, now),
        error[:_WIDEST_ERROR],
    ).rstrip()


def _at(job: Job, now: datetime) -> str:
    if job.state(now) == "waiting" and job.visible_at > now:
        return f"again in {span((job.visible_at - now).total_seconds())}"
    share = "" if job.progress is None else f" {job.progress:.0%}"
    return f"{printable(job.step)}{share}" if job.step else "-"


def _document(job: Job, now: datetime) -> dict[str, Any]:
    state = job.state(now)
    return {
        "id": job.id,
        "kind": job.kind,
        "key": job.key,
        "media_id": job.media_id,
        "state": state,
        "attempts": job.attempts,
        "postponed": job.postponed,
        "created_at": job.created_at.isoformat(),
        "begun_at": job.begun_at.isoformat(),
        "next_try_at": job.visible_at.isoformat() if state == "waiting" else None,
        "step": job.step,
        "progress": job.progress,
        "last_error": job.last_error,
    }
