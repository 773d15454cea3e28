"""Where an upload stands, from its first byte to the record that came of it."""

from dataclasses import dataclass

from processing.catalog import Catalog
from processing.medium import Medium, media_id_for
from processing.reasons import Reason
from tusd_server.errors import UploadGone, UploadNotFound
from tusd_server.info import UploadInfo
from tusd_server.storage.base import DataStore

UPLOADING = "uploading"
COMPLETE = "complete"
_ENDS = frozenset({COMPLETE, "registered", "published", "deleted", "rejected", "failed"})


@dataclass(frozen=True, slots=True)
class Standing:
    """An upload at one moment; `offset` and `length` in bytes.

    `state` is `uploading`, `complete` for a finished part of a concatenation, and the state of
    the medium from the last byte on. `owner` is None for whoever knows the upload's URL.
    """

    upload_id: str
    owner: str | None
    state: str
    offset: int
    length: int | None
    reasons: tuple[Reason, ...] = ()
    medium: Medium | None = None

    @property
    def media_id(self) -> str:
        """The id of the medium that it is, or will be when it is finished."""
        return media_id_for(self.upload_id)

    @property
    def final(self) -> bool:
        """Whether nothing more happens to it by itself."""
        without_post = self.medium is not None and self.medium.post_id is None
        return self.state in _ENDS or (self.state == "ready" and without_post)

    @property
    def mark(self) -> str:
        """What tells this moment from others of the same upload: the id of its event."""
        return f"{self.state}.{self.offset}"


def standing_of(upload_id: str, store: DataStore, catalog: Catalog) -> Standing:
    """Where the upload stands now; takes no lock. UploadNotFound, UploadGone."""
    try:
        info = store.look(upload_id)
    except (UploadNotFound, UploadGone):
        medium = catalog.by_upload(upload_id)
        if medium is None:
            raise
        return _of_medium(medium)
    if info.partial or not info.finished:
        return _under_way(info)
    medium = catalog.by_upload(upload_id)
    # Without a record, for the moment between the last byte and its answer.
    return _of_medium(medium) if medium else _of_info(info, "received")


def _under_way(info: UploadInfo) -> Standing:
    if info.refusal is not None:
        reason = Reason(info.refusal.code, info.refusal.message)
        return _of_info(info, "rejected", (reason,))
    return _of_info(info, COMPLETE if info.finished else UPLOADING)


def _of_info(info: UploadInfo, state: str, reasons: tuple[Reason, ...] = ()) -> Standing:
    return Standing(info.id, info.owner, state, info.offset, info.length, reasons)


def _of_medium(medium: Medium) -> Standing:
    size = medium.size
    return Standing(
        medium.upload_id, medium.owner, medium.status, size, size, medium.reasons, medium
    )
