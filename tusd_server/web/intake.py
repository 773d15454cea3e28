"""Files of forms: the bytes go straight into uploads that nobody else knows of yet."""

import contextlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hooks.events import RequestFacts
from hooks.post_finish import MEDIA_ID_HEADER
from processing.catalog import Catalog
from processing.cleanup import clear
from processing.declared import Declared
from processing.judge import judge
from processing.limits import Limits
from processing.reasons import Rejected
from processing.shelf import Shelf
from processing.sniff import Kind
from tusd_server.auth import Auth
from tusd_server.errors import (
    StorageFull,
    UploadError,
    UploadRefused,
    UploadTooLarge,
    WrongFields,
)
from tusd_server.info import UploadInfo
from tusd_server.metadata import Metadata
from tusd_server.storage.base import Terminates
from tusd_server.uploads.body import Ending, PortableBody
from tusd_server.uploads.service import Uploads, Wanted
from tusd_server.web.media_api import MediaApi
from tusd_server.web.multipart import Part, PartBody
from tusd_server.web.settling import Settling


@dataclass(frozen=True, slots=True)
class TakenFile:
    """A file whose bytes are all here, in an upload that is not finished yet."""

    info: UploadInfo
    kind: Kind


@dataclass(frozen=True, slots=True)
class Most:
    """The most bytes that a file may have, and whose rule that is."""

    size: int
    rule: str


class Batch:
    """The files of one request.

    Until they are finished nobody knows their uploads: a length that is not told yet keeps them
    open, whatever the order of the form's parts.
    """

    def __init__(
        self, uploads: Uploads, catalog: Catalog, shelf: Shelf, owner: str, request: RequestFacts
    ) -> None:
        """Nothing is taken in yet."""
        self._uploads = uploads
        self._catalog = catalog
        self._shelf = shelf
        self._owner = owner
        self._request = request
        self._taken: list[UploadInfo] = []

    def take(self, part: Part, most: Most, metadata: Mapping[str, str]) -> TakenFile:
        """Read a part into a new upload; what is wrong with it leaves nothing behind."""
        body = PartBody(part, most.size)
        said = {"filename": part.file_name, "filetype": part.content_type}
        pairs = {name: text for name, text in said.items() if text} | dict(metadata)
        wanted = Wanted(None, Metadata.from_text(pairs).to_header())
        try:
            info = self._uploads.create(self._owner, wanted, body, self._request).info
        except UploadError as error:
            raise _true_error(error, body, most) from error
        self._taken.append(info)
        if body.ending is not Ending.COMPLETE:
            self.forget(info)
            raise body.error or StorageFull("The disk has no room for these bytes.")
        if not info.offset:
            self.forget(info)
            raise WrongFields((part.name, f"{part.name} is an empty file."))
        try:
            kind = judge(body.head, Declared(part.file_name, part.content_type))
        except Rejected as rejected:
            # Of a small file the hooks are asked only when its length is told.
            self.forget(info)
            reason = rejected.reasons[0]
            raise UploadRefused(reason.message, code=reason.code) from rejected
        return TakenFile(info, kind)

    def finish(self, info: UploadInfo, metadata: Mapping[str, str]) -> str:
        """Tell the upload's length, which completes it; its medium's id.

        `metadata` is what the form said behind the file. The record is made with it: no crash
        leaves a medium without the post that its form named.
        """
        done = self._uploads.append(
            info.id,
            self._owner,
            info.offset,
            PortableBody(io.BytesIO(), 0),
            self._request,
            length=info.offset,
            metadata=Metadata.from_text(metadata),
        )
        return done.headers[MEDIA_ID_HEADER]

    def forget(self, info: UploadInfo) -> None:
        """Drop an upload of this batch, bytes and all."""
        if isinstance(self._uploads.store, Terminates):
            self._uploads.store.remove(info)

    def undo(self) -> None:
        """Drop all that this batch took in; a record that there is already says deleted."""
        media = [self._catalog.by_upload(info.id) for info in self._taken]
        clear(self._catalog, self._shelf, [medium for medium in media if medium is not None])
        for info in self._taken:
            self.forget(info)


class Intake:
    """Makes batches, and knows how large their files may be."""

    def __init__(self, uploads: Uploads, catalog: Catalog, shelf: Shelf, limits: Limits) -> None:
        """`limits` are the rules by which files will be examined."""
        self._uploads = uploads
        self._catalog = catalog
        self._shelf = shelf
        self._limits = limits

    @contextlib.contextmanager
    def batch(self, owner: str, request: RequestFacts) -> Iterator[Batch]:
        """A batch that is undone when anything is raised within."""
        batch = Batch(self._uploads, self._catalog, self._shelf, owner, request)
        try:
            yield batch
        except BaseException:
            batch.undo()
            raise

    def most(self, file_name: str | None, content_type: str | None, most: Most) -> Most:
        """The smaller of `most` and what the family may have that a file is declared as."""
        families = Declared(file_name, content_type).families()
        rules = [self.family_limit(family) for family in families if family in _FAMILIES]
        return min([most, *rules], key=lambda rule: rule.size)

    def family_limit(self, family: str) -> Most:
        """The most bytes of an `image` or a `video`."""
        if family == "image":
            return Most(self._limits.image_max_size, "an image may have")
        return Most(self._limits.video_max_size, "a video may have")


@dataclass(frozen=True, slots=True, kw_only=True)
class FormRooms:
    """What the views need that take in files; `spool_dir` is a private folder, sizes in bytes."""

    uploads: Uploads
    catalog: Catalog
    auth: Auth
    media: MediaApi
    intake: Intake
    settling: Settling
    simple_max_size: int
    spool_dir: Path


_FAMILIES = ("image", "video")


def _true_error(error: UploadError, body: PartBody, most: Most) -> UploadError:
    """What was wrong with the form, where that is why the upload was refused."""
    if body.error is not None:
        return body.error
    if body.ending is Ending.OVERRUN and body.received > most.size:
        return UploadTooLarge(
            f"The file has more than {most.size} bytes, which is the most that {most.rule}."
        )
    error.offset = None
    return error
