"""Finished uploads as the worker sees them: bytes at a path, to be moved or dropped."""

from collections.abc import Iterator
from pathlib import Path

from hooks.post_finish import received_from
from processing.catalog import Catalog
from processing.medium import Received
from tusd_server.errors import UploadError
from tusd_server.info import Refusal
from tusd_server.locks import FileLocker
from tusd_server.storage.filesystem import FilesystemStore
from tusd_server.uploads.facts import facts_of


class FinishedUploads:
    """Implements processing's UploadFiles on the local store."""

    def __init__(self, store: FilesystemStore, locker: FileLocker, catalog: Catalog) -> None:
        """`catalog` tells why an upload is dropped."""
        self._store = store
        self._locker = locker
        self._first_round = True
        self._catalog = catalog

    def __iter__(self) -> Iterator[Received]:
        """Every complete upload that is not handed over yet, as the reconciler wants it.

        Not one that is still being written: its last chunk may bring a byte too many. And not
        those that were complete when tusd's directory was taken over: nobody asked us to
        examine, move or reject them.

        The first time also those that are handed over: a power cut may have taken the record of
        a file whose move was already durable.
        """
        if self._first_round:
            self._first_round = False
            for info in self._store.handed_over():
                yield received_from(facts_of(info, self._store))
        for info in self._store.all():
            ours = info.owner is not None and not info.partial and info.refusal is None
            if ours and info.finished and not self._locker.held(info.id):
                yield received_from(facts_of(info, self._store))

    def path(self, upload_id: str) -> Path:
        """See UploadFiles."""
        return self._store.path(self._store.look(upload_id))

    def hand_over(self, upload_id: str, destination: Path) -> None:
        """See UploadFiles."""
        self._store.hand_over(self._store.look(upload_id), destination)

    def wanted_place(self, upload_id: str) -> str | None:
        """See UploadFiles."""
        return self._store.look(upload_id).place

    def discard(self, upload_id: str) -> None:
        """See UploadFiles. A rejected upload's URL goes on to say why it was rejected."""
        try:
            info = self._store.look(upload_id)
        except UploadError:
            return
        medium = self._catalog.by_upload(upload_id)
        if medium is not None and medium.status == "rejected" and medium.reasons:
            message = " ".join(reason.message for reason in medium.reasons)
            self._store.refuse(info, Refusal(medium.reasons[0].code, message))
        else:
            self._store.remove(info)
