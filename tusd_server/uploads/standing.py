"""Where an upload stands, from its first byte to the record that came of it."""

from dataclasses import dataclass, replace

from processing.catalog import Catalog
from processing.medium import Medium, media_id_for
from processing.reasons import Reason
from tusd_server.errors import UploadGone, UploadNotFound
from tusd_server.info import UploadInfo
from tusd_server.storage.base import DataStore, TakesChunks

UPLOADING = "uploading"
COMPLETE = "complete"
_ENDS = frozenset({COMPLETE, "registered", "published", "deleted", "rejected", "failed"})


@dataclass(frozen=True, slots=True)
class Standing:
    """An upload at one moment; `offset` and `length` in bytes.

    `behind` is how many bytes of an upload in chunks are here behind its first hole.

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
    behind: int = 0

    @property
    def received_bytes(self) -> int:
        """How many bytes are here, holes left out."""
        return self.offset + self.behind

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
        return f"{self.state}.{self.received_bytes}"


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
        return _under_way(info, store)
    medium = catalog.by_upload(upload_id)
    # Without a record, for the moment between the last byte and its answer.
    return _of_medium(medium) if medium else _of_info(info, "received")


def _under_way(info: UploadInfo, store: DataStore) -> Standing:
    if info.refusal is not None:
        reason = Reason(info.refusal.code, info.refusal.message)
        return _of_info(info, "rejected", (reason,))
    standing = _of_info(info, COMPLETE if info.finished else UPLOADING)
    if info.in_chunks and isinstance(store, TakesChunks):
        behind = store.received(info).bytes - info.offset
        # A chunk may have come, or all of them, between the two looks.
        return replace(standing, behind=max(0, behind))
    return standing


def _of_info(info: UploadInfo, state: str, reasons: tuple[Reason, ...] = ()) -> Standing:
    return Standing(info.id, info.owner, state, info.offset, info.length, reasons)


def _of_medium(medium: Medium) -> Standing:
    size = medium.size
    return Standing(
        medium.upload_id, medium.owner, medium.status, size, size, medium.reasons, medium
    )
