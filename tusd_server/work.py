"""make_worker: the table of contents of a worker process."""

from hooks.deliveries import HOOK, Deliverer
from processing.catalog import DERIVE, REGISTER, Catalog
from processing.clamd import Address, Clamd
from processing.deriving import Deriver
from processing.lanes import Lane
from processing.pipeline import Pipeline
from processing.reconciler import Reconciler
from processing.retention import Retention
from processing.shelf import Shelf
from processing.tasks import Tasks
from processing.tools import Tools
from processing.wake import waker_for
from processing.worker import Pace, Worker
from tusd_server.app import (
    make_locker,
    make_posts,
    make_store,
    make_sweeper,
    make_transports,
    make_uploads,
)
from tusd_server.settings import Settings
from tusd_server.uploads.files import FinishedUploads

TELLERS = 4
"""Jobs that tell others something and run at once, beside those that examine media."""


def make_worker(settings: Settings) -> Worker:
    """Make the worker of these settings; the database is brought up to date first."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(settings.catalog_url)
    catalog.migrate()
    shelf = Shelf(settings.data_dir)
    work_dir = settings.state_dir / "work"
    store, locker = make_store(settings), make_locker(settings)
    files = FinishedUploads(store, locker, catalog)
    tools = Tools.found()
    pipeline = Pipeline(
        settings.limits,
        tools,
        settings.media_timeout_seconds,
        strip_metadata=settings.strip_metadata,
        clamd=Clamd(Address.from_text(settings.clamav)) if settings.clamav else None,
        recipe=settings.recipe,
    )
    deriver = Deriver(settings.limits, tools, settings.media_timeout_seconds, settings.recipe)
    tasks = Tasks(
        catalog=catalog,
        examine=pipeline.examine,
        files=files,
        shelf=shelf,
        posts=make_posts(settings, catalog, shelf),
        work_dir=work_dir,
        derive=deriver.make,
        others={HOOK: Deliverer(make_transports(settings)).run},
    )
    uploads = make_uploads(settings, store, locker, catalog, shelf)
    reconciler = Reconciler(
        catalog=catalog,
        shelf=shelf,
        finished_uploads=lambda: files,
        work_dir=work_dir,
        record=lambda upload: uploads.recover(upload.upload_id),
    )
    sweeper = make_sweeper(settings, store, locker, uploads)
    retention = Retention(catalog, shelf, settings.retention_days)
    pace = Pace(
        concurrency=settings.worker_concurrency,
        lease_seconds=settings.job_lease_seconds,
        job_attempts=settings.job_attempts,
        patience_seconds=settings.retry_hours * 3600.0,
        shutdown_seconds=settings.shutdown_seconds,
    )
    return Worker(
        catalog=catalog,
        tasks=tasks,
        rounds=(reconciler.run, sweeper.run, retention.run),
        waker=waker_for(settings.redis_url),
        pace=pace,
        lanes=(
            Lane(frozenset({REGISTER, HOOK}), TELLERS),
            # A transcode takes minutes, and must not stand in the way of what is new.
            Lane(frozenset({DERIVE}), 1),
        ),
    )
