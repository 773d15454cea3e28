"""`tusd-server gc`: one thorough round of the sweeper, by hand or by cron."""

import contextlib

from processing.catalog import Catalog
from processing.retention import Retention
from processing.shelf import Shelf
from tusd_server.app import make_locker, make_store, make_sweeper, make_uploads
from tusd_server.commands.catalog import existing_catalog
from tusd_server.commands.directory import require_data_dir
from tusd_server.locks import MemoryLocker
from tusd_server.settings import Settings
from tusd_server.uploads.sweeper import Swept


def gc(settings: Settings, *, dry_run: bool) -> int:
    """Delete what has expired and what belongs to nobody; the exit status.

    Prints a line for each upload and file. With `dry_run` nothing is changed.
    """
    require_data_dir(settings)
    store = make_store(settings, prepare=not dry_run)
    # A dry run locks nothing, and must not make the folder in which processes ask for locks.
    locker = MemoryLocker(timeout_seconds=0.0) if dry_run else make_locker(settings)
    with contextlib.closing(Catalog(settings.catalog_url)) as catalog:
        if not dry_run:
            catalog.migrate()
        shelf = Shelf(settings.data_dir)
        uploads = make_uploads(settings, store, locker, catalog, shelf)
        sweeper = make_sweeper(settings, store, locker, uploads)
        _print(sweeper.sweep(dry_run=dry_run, thoroughly=True), dry_run=dry_run)
    with existing_catalog(settings) as existing:
        if existing is not None:
            retention = Retention(existing, shelf, settings.retention_days)
            for medium in retention.overdue() if dry_run else retention.enforce():
                verb = "would delete" if dry_run else "deleted"
                print(f"{verb} medium {medium.id} ({medium.size} bytes, not published in time)")
    return 0


def _print(swept: Swept, *, dry_run: bool) -> None:
    verb = "would delete" if dry_run else "deleted"
    for info in swept.expired:
        print(f"{verb} expired upload {info.id} ({info.offset} bytes)")
    for orphan in swept.orphans:
        print(f"{verb} orphan {orphan}")
    if not dry_run:
        print(f"forgot {swept.forgotten} uploads that are long over")
