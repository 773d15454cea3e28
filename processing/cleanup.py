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
        try:
            shelf.remove(medium.paths)
        except OSError:
            logger.exception("medium %s: its files could not be deleted", medium.id)
            continue
        cleared += catalog.deleted(medium.id)
        # A rendition may have been put there meanwhile; from the mark on, none is.
        shelf.remove(medium.paths)
    return cleared
