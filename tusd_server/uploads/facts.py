"""An upload as hooks see it."""

from hooks.events import StorageFacts, UploadFacts
from tusd_server.info import UploadInfo, now_utc
from tusd_server.storage.base import Local


def facts_of(info: UploadInfo, store: Local | None) -> UploadFacts:
    """What the hooks are told of an upload; without an id, of one that does not exist yet.

    `store` is None where the bytes are no files of this machine.
    """
    storage = None
    if store is not None and info.id:
        path, info_path = store.places(info)
        storage = StorageFacts("filestore", path, info_path)
    return UploadFacts(
        id=info.id,
        size=info.length,
        offset=info.offset,
        owner=info.owner or "anonymous",
        created_at=info.created_at or info.touched_at or now_utc(),
        metadata=info.metadata.to_text(),
        is_partial=info.partial,
        is_final=info.final,
        partial_uploads=info.parts,
        storage=storage,
    )
