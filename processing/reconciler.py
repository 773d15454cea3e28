"""Finishes what a crash left half done between two rooms."""

import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from processing.catalog import Catalog
from processing.cleanup import clear
from processing.medium import Received
from processing.shelf import Shelf
from processing.tasks import JOB_FOLDER_PREFIX

logger = logging.getLogger(__name__)

LEFT_BEHIND_SECONDS = 24 * 3600.0
BATCH = 500


class Reconciler:
    """Compares uploads, records and files; safe to run in several processes at once."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        shelf: Shelf,
        finished_uploads: Callable[[], Iterable[Received]],
        work_dir: Path,
        record: Callable[[Received], object] | None = None,
    ) -> None:
        """`finished_uploads` lists at least those finished uploads that have no record.

        `record` makes the record of one, by default with nothing else; what it raises means
        that this upload is left for a later round.
        """
        self._catalog = catalog
        self._shelf = shelf
        self._finished_uploads = finished_uploads
        self._work_dir = work_dir
        self._record = record or catalog.receive

    def run(self) -> None:
        """One round; what fails is logged, and the rest still runs."""
        for errand in (self.record_uploads, self.clear_published, self.sweep_work_dir):
            try:
                errand()
            except Exception:
                logger.exception("reconciler: %s did not finish", errand.__name__)

    def record_uploads(self) -> int:
        """Receive finished uploads whose server died before it could; how many there were."""
        uploads = iter(self._finished_uploads())
        received = 0
        while batch := list(islice(uploads, BATCH)):
            missing = self._catalog.unrecorded(upload.upload_id for upload in batch)
            received += sum(self._received(each) for each in batch if each.upload_id in missing)
        return received

    def _received(self, upload: Received) -> bool:
        try:
            self._record(upload)
        except Exception as error:
            logger.warning("upload %s could not be recorded late: %s", upload.upload_id, error)
            return False
        logger.info("upload %s: recorded late", upload.upload_id)
        return True

    def clear_published(self) -> int:
        """Delete the files of media that were published before a crash; how many media."""
        cleared, cursor = 0, None
        while True:
            media, cursor = self._catalog.find(status="published", after=cursor, limit=BATCH)
            cleared += clear(self._catalog, self._shelf, media)
            if cursor is None:
                return cleared

    def sweep_work_dir(self) -> int:
        """Delete the private folders of jobs whose worker was killed a day ago; how many."""
        oldest = time.time() - LEFT_BEHIND_SECONDS
        swept = 0
        for folder in self._work_dir.glob(f"{JOB_FOLDER_PREFIX}*"):
            # Its job may end now, or another worker sweep it.
            with contextlib.suppress(FileNotFoundError):
                if folder.stat().st_mtime < oldest:
                    shutil.rmtree(folder, ignore_errors=True)
                    swept += 1
        return swept
