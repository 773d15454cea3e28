"""Files of media that nobody published in time go; their records stay."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from processing.catalog import Catalog
from processing.medium import Medium
from processing.moments import Clock, utc_now
from processing.shelf import Shelf

logger = logging.getLogger(__name__)

EVERY = timedelta(hours=1)
BATCH = 500


class Retention:
    """Deletes what was not published within `days`; safe to run in several processes at once.

    The days count from the registration with a post, and from the arrival where there was none.
    A medium that is still to be registered is left alone, for however long its job is under way
    or parked, and so is one whose examination failed: both wait for somebody.
    """

    def __init__(
        self, catalog: Catalog, shelf: Shelf, days: int, *, clock: Clock = utc_now
    ) -> None:
        """With 0 days nothing is ever deleted."""
        self._catalog = catalog
        self._shelf = shelf
        self._days = days
        self._clock = clock
        self._ran_at: datetime | None = None

    def run(self) -> None:
        """A worker's round, made once an hour; what fails is logged, and made up for later."""
        now = self._clock()
        if self._ran_at is not None and now - self._ran_at < EVERY:
            return
        try:
            deleted = sum(1 for _ in self.enforce())
        except Exception:
            logger.exception("the retention of media did not finish its round")
            return
        self._ran_at = now
        if deleted:
            logger.info("deleted %d media that were not published in time", deleted)

    def enforce(self) -> Iterator[Medium]:
        """Delete the files of what is overdue; each medium as it was before.

        The record is changed first, and in the same transaction gets a job that deletes the files
        should this process die before it has.
        """
        before = self._before()
        for medium in self.overdue():
            if before is None or not self._catalog.retire(medium.id, before):
                continue
            try:
                self._shelf.remove(medium.paths)
            except OSError:
                logger.exception("medium %s: its files are left to the job", medium.id)
            yield medium

    def overdue(self) -> Iterator[Medium]:
        """What would be deleted now, oldest first."""
        before = self._before()
        if before is None:
            return
        last: Medium | None = None
        while found := self._catalog.overdue(before, after=last, limit=BATCH):
            yield from found
            last = found[-1]

    def _before(self) -> datetime | None:
        return self._clock() - timedelta(days=self._days) if self._days else None
