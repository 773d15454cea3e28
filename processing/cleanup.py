"""Files of published media go; their records stay."""

import logging
from collections.abc import Iterable

from processing.catalog import Catalog
from processing.medium import Medium
from processing.shelf import Shelf

logger = logging.getLogger(__name__)


def clear(catalog: Catalog, shelf: Shelf, media: Iterable[Medium]) -> int:
    """Delete the files of these media and mark the records deleted; how many were marked now.

    The files go first: after a crash in between, the record still says that there is
    something to delete, and the next call finds nothing to do but the mark. A file that cannot be
    deleted is logged, and its record left as it is for the next time.
    """
    cleared = 0
    for medium in media:
        if not _removed(shelf, medium):
            continue
        cleared += catalog.deleted(medium.id)
        # A rendition may have been put there meanwhile; from the mark on, none is. One that is
        # being put this very moment is removed by its own job, which finds the mark.
        _removed(shelf, medium)
    return cleared


def _removed(shelf: Shelf, medium: Medium) -> bool:
    try:
        shelf.remove(medium.paths)
    except OSError:
        logger.exception("medium %s: its files could not be deleted", medium.id)
        return False
    return True
