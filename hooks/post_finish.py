"""The built-in duty after the last byte: the finished upload becomes a record with a job."""

from hooks.deliveries import Deliveries
from hooks.events import HookEvent, HookReply, UploadFacts
from processing.catalog import Catalog
from processing.medium import Received, is_post_id
from processing.wake import Waker

MEDIA_ID_HEADER = "Upload-Media-Id"


class HandOver:
    """Gives finished uploads to processing; on return the record and its job are committed.

    So are the jobs which tell receivers outside, in the same transaction: once for each record.
    """

    def __init__(self, catalog: Catalog, waker: Waker, deliveries: Deliveries) -> None:
        """`waker` wakes a worker after each hand-over."""
        self._catalog = catalog
        self._waker = waker
        self._deliveries = deliveries

    def __call__(self, event: HookEvent) -> HookReply:
        """Record the upload once, however often it is called; the reply names its medium.

        The parts of a concatenation are not media, and their reply is empty.
        """
        if event.upload.is_partial:
            self._deliveries.announce(event)
            return HookReply()
        orders = self._deliveries.orders(event)
        medium = self._catalog.receive(received_from(event.upload), orders)
        self._waker.wake()
        return HookReply({MEDIA_ID_HEADER: medium.id})


def received_from(upload: UploadFacts) -> Received:
    """A finished upload as processing wants it.

    A `post_id` that no record could hold is refused when the upload is created; one that came
    in with a data directory of tusd's is left out, and stays readable in the metadata.
    """
    post_id = upload.post_id
    return Received(
        upload_id=upload.id,
        owner=upload.owner,
        size=upload.offset,
        created_at=upload.created_at,
        file_name=upload.file_name,
        content_type=upload.content_type,
        post_id=post_id if post_id is not None and is_post_id(post_id) else None,
        metadata=upload.metadata,
    )
