"""The built-in end of a medium whose upload is terminated."""

from hooks.base import Hooks
from hooks.events import HookEvent
from processing.catalog import Catalog
from processing.cleanup import clear
from processing.shelf import Shelf


class Withdrawal(Hooks):
    """Deletes the files of a terminated upload's medium and marks its record deleted.

    It acts before the upload is gone, so that a crash in between leaves an upload which can be
    terminated again. It belongs behind every hook that may veto.
    """

    def __init__(self, catalog: Catalog, shelf: Shelf) -> None:
        """`shelf` is where the files of finished media lie."""
        self._catalog = catalog
        self._shelf = shelf

    def pre_terminate(self, event: HookEvent) -> None:
        """Do nothing for an upload that never became a medium."""
        medium = self._catalog.by_upload(event.upload.id)
        if medium is not None and medium.status != "deleted":
            clear(self._catalog, self._shelf, [medium])
