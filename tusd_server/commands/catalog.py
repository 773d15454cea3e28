"""The records' database of commands that look at it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from processing.catalog import Catalog
from tusd_server.errors import BadSetting
from tusd_server.settings import Settings


@contextlib.contextmanager
def existing_catalog(settings: Settings) -> Iterator[Catalog | None]:
    """The catalog, or None where there is none yet; it is neither made nor brought up to date.

    Raises BadSetting for one that cannot be read.
    """
    try:
        if not _has_database(settings.catalog_url):
            yield None
            return
        with contextlib.closing(Catalog(settings.catalog_url)) as catalog:
            yield catalog
    except (SQLAlchemyError, ImportError, ValueError):
        raise BadSetting(
            "The database cannot be read; `tusd-server doctor` tells what is wrong with it."
        ) from None


def _has_database(url: str) -> bool:
    # SQLite would make an empty one where there is none.
    parsed = make_url(url)
    return parsed.get_backend_name() != "sqlite" or Path(parsed.database or "").is_file()
