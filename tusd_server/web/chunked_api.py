"""/api/v1/media/upload/init, /chunk, /{id}/status and /{id}/finalize: a file in chunks."""

import io
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self

from flask import Blueprint, Response, json, request

from hooks.post_finish import MEDIA_ID_HEADER
from processing.catalog import PROCESS, REGISTER, Catalog
from processing.declared import Declared
from processing.judge import ACCEPTED
from processing.medium import Medium
from processing.moments import utc_now
from processing.sniff import KINDS
from tusd_server.auth import User
from tusd_server.errors import (
    PostMismatch,
    StorageFull,
    UploadError,
    UploadGone,
    UploadNotFinished,
    UploadNotFound,
    UploadRefused,
    UploadTooLarge,
    WrongFields,
)
from tusd_server.info import UploadInfo
from tusd_server.metadata import Metadata
from tusd_server.storage.files import FULL
from tusd_server.storage.received import chunks_of
from tusd_server.uploads.body import Body, Ending, PortableBody
from tusd_server.uploads.chunked import Chunked, Progress
from tusd_server.web import schemas
from tusd_server.web.documents import rfc3339
from tusd_server.web.intake import FormRooms
from tusd_server.web.json_bodies import json_body
from tusd_server.web.multipart import FORM_ROOM_BYTES, Fields, Form, Part, PartBody
from tusd_server.web.settling import status_for
from tusd_server.web.tus import request_body, request_facts
from tusd_server.web.urls import root_url

# An answer to a chunk tells no more of what is missing; `status` tells all.
MOST_TOLD = 100
_INDEX = re.compile(r"[0-9]{1,9}", re.ASCII)
# What clients call the types of the list.
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/heif": "image/heic",
    "video/x-m4v": "video/mp4",
}
_ADDRESS = ("upload_id", "chunk_index")
_TYPES = {kind.content_type: kind for kind in KINDS}


class ChunkedApi:
    """The views on uploads in chunks; `status` and `finalize` take those of tus as well."""

    def __init__(self, rooms: FormRooms) -> None:
        """Wire the rooms together."""
        self._rooms = rooms
        self._chunked = Chunked(rooms.uploads)

    def init(self) -> Response:
        """POST /api/v1/media/upload/init: begin an upload in chunks."""
        user = self._rooms.auth.user()
        asked = json_body(schemas.UploadInitIn)
        self._check(asked)
        said = {"filename": asked.file_name, "filetype": asked.content_type}
        if asked.post_id is not None:
            said["post_id"] = asked.post_id
        begun = self._chunked.begin(
            user.id,
            asked.file_size,
            asked.chunk_size,
            Metadata.from_text(said).to_header(),
            request_facts(),
        )
        info = begun.info
        url = f"{root_url()}files/{info.id}"
        document = {
            "upload_id": info.id,
            "chunk_size": info.chunk_size,
            "total_chunks": chunks_of(asked.file_size, asked.chunk_size),
            "upload_url": url,
            "expires_at": rfc3339(begun.expires),
        }
        return _json(document, {"Location": url})

    def chunk(self) -> Response:
        """POST /api/v1/media/upload/chunk: one chunk, in any order, as often as need be."""
        user = self._rooms.auth.user()
        form = Form(
            request_body(),
            request.headers.get("Content-Type"),
            most_bytes=schemas.MOST_CHUNK_BYTES + FORM_ROOM_BYTES,
        )
        fields = Fields("upload_id", "chunk_index", files="chunk")
        with _Spool(self._rooms.spool_dir) as spool:
            progress: Progress | None = None
            for part in form:
                if part.name != "chunk":
                    fields.take(part)
                elif progress is not None or spool.size is not None:
                    raise WrongFields(("chunk", "chunk must be there once only."))
                elif len(fields.values) < 2:
                    spool.keep(part)
                else:
                    progress = self._put_part(part, fields, user)
                    if form.body.ending is Ending.TAKEN_OVER:
                        # By whoever completed the upload; this chunk was there already.
                        break
            if spool.size is not None:
                progress = self._put(fields, user, spool.body())
            if progress is None:
                _addressed(fields)
                raise WrongFields(("chunk", "chunk is missing."))
        return _json(_chunk_document(progress), progress.headers)

    def status(self, upload_id: str) -> dict[str, Any]:
        """GET /api/v1/media/upload/<id>/status: how far an upload has come, and its medium."""
        user = self._rooms.auth.user()
        try:
            progress = self._chunked.progress(upload_id, user.id)
        except (UploadRefused, UploadGone, UploadNotFound) as over:
            medium = self._medium_instead(over, upload_id, user)
            return self._status_document(_over(medium), medium)
        finished = progress.info.finished
        return self._status_document(
            progress, self._rooms.catalog.by_upload(upload_id) if finished else None
        )

    def _status_document(self, progress: Progress, medium: Medium | None) -> dict[str, Any]:
        info = progress.info
        under_way = "uploading" if progress.received_bytes else "pending"
        return {
            "upload_id": info.id,
            "status": "completed" if info.finished else under_way,
            "progress": _percent(progress.received_bytes, info.length, finished=info.finished),
            "received_bytes": progress.received_bytes,
            "total_bytes": info.length,
            "chunk_size": progress.chunk_size,
            "total_chunks": progress.total,
            "missing_chunks": list(progress.missing),
            "media": None if medium is None else self._rooms.media.document(medium),
            "job": None if medium is None else _job_document(self._rooms.catalog, medium),
            "events_url": self._rooms.media.events_url(info.id),
        }

    def finalize(self, upload_id: str) -> Response:
        """POST /api/v1/media/upload/<id>/finalize: the medium of a complete upload, for a post."""
        user = self._rooms.auth.user()
        asked = json_body(schemas.FinalizeIn)
        try:
            medium = self._finished(upload_id, user)
        except (UploadRefused, UploadGone, UploadNotFound) as over:
            medium = self._medium_instead(over, upload_id, user)
        if asked.post_id is not None and not self._rooms.catalog.assign_post(
            medium.id, asked.post_id
        ):
            self._refuse_post(medium, asked.post_id)
        (medium,) = self._rooms.settling.wait([medium.id])
        return self._rooms.media.answer(medium, status_for(medium))

    def _check(self, asked: schemas.UploadInitIn) -> None:
        """Refuse now what would be refused later."""
        kind = _TYPES.get(_plain_type(asked.content_type))
        if kind is None:
            raise UploadRefused(
                f"The content_type is of no type that is accepted; send {ACCEPTED}.",
                code="type_not_allowed",
            )
        said = Declared(asked.file_name, kind.content_type).families()
        if any(family != kind.media_type for family in said):
            raise UploadRefused(
                "The file_name is that of another family than the content_type; "
                "declare what the file is.",
                code="type_mismatch",
            )
        most = self._rooms.intake.family_limit(kind.media_type)
        if asked.file_size > most.size:
            raise UploadTooLarge(
                f"The file has {asked.file_size} bytes; {most.rule} at most {most.size} bytes."
            )

    def _put_part(self, part: Part, fields: Fields, user: User) -> Progress:
        body = PartBody(part, schemas.MOST_CHUNK_BYTES)
        try:
            return self._put(fields, user, body)
        except UploadError as error:
            if body.error is not None:  # what was wrong with the form explains the chunk's error
                raise body.error from error
            raise

    def _put(self, fields: Fields, user: User, body: Body) -> Progress:
        upload_id, index = _addressed(fields)
        return self._chunked.put(upload_id, user.id, index, body, request_facts())

    def _finished(self, upload_id: str, user: User) -> Medium:
        """The medium of an upload whose bytes are all here; raises UploadNotFinished."""
        try:
            progress = self._chunked.finish(upload_id, user.id, request_facts())
        except UploadNotFinished as error:
            missing = self._chunked.progress(upload_id, user.id).missing
            error.details = {"missing_chunks": list(missing)}
            raise
        medium = self._rooms.catalog.get(progress.headers.get(MEDIA_ID_HEADER, ""))
        if medium is None:
            raise UploadNotFound("The upload is a part of others and becomes no medium itself.")
        return medium

    def _medium_instead(self, over: UploadError, upload_id: str, user: User) -> Medium:
        """The medium of an upload that is over; it knows more than `over`, raised without one."""
        medium = self._rooms.catalog.by_upload(upload_id)
        if medium is None or medium.owner != user.id:
            raise over
        return medium

    def _refuse_post(self, medium: Medium, post_id: str) -> None:
        """Say why the medium cannot belong to this post; nothing where its rejection says more."""
        if medium.status == "rejected":
            return
        if medium.status == "deleted":
            raise UploadGone("The medium's files have been deleted; upload it anew.")
        raise PostMismatch(
            "The medium belongs to another post already; finalize it without a post_id or with "
            "the one that it has."
        )


class _Spool:
    """A nameless file for a chunk that comes before the fields which say where it belongs."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made before it is needed; a crash leaves nothing behind."""
        self._folder = folder
        self._file: IO[bytes] | None = None
        self.size: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def keep(self, part: Part) -> None:
        """Read a part; raises UploadTooLarge, StorageFull and the errors of a form."""
        body = PartBody(part, schemas.MOST_CHUNK_BYTES)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
            for view in body.chunks(schemas.MOST_CHUNK_BYTES):
                self._file.write(view)
            self._file.seek(0)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise StorageFull("The disk has no room for these bytes.") from error
        if body.ending is Ending.OVERRUN:
            raise UploadTooLarge(
                f"The chunk has more than {schemas.MOST_CHUNK_BYTES} bytes, which is the most."
            )
        if body.error is not None:
            raise body.error
        self.size = body.received

    def body(self) -> Body:
        """What was kept, as the body of a request."""
        return PortableBody(self._file or io.BytesIO(), self.size)


def chunked_blueprint(api: ChunkedApi) -> Blueprint:
    """The URLs of uploads in chunks."""
    blueprint = Blueprint("chunked", __name__, url_prefix="/api/v1/media/upload")
    blueprint.add_url_rule("/init", view_func=api.init, methods=["POST"], endpoint="init")
    blueprint.add_url_rule("/chunk", view_func=api.chunk, methods=["POST"], endpoint="chunk")
    blueprint.add_url_rule("/<upload_id>/status", view_func=api.status, endpoint="status")
    blueprint.add_url_rule(
        "/<upload_id>/finalize", view_func=api.finalize, methods=["POST"], endpoint="finalize"
    )
    return blueprint


def _addressed(fields: Fields) -> tuple[str, int]:
    """Which chunk a form is about; raises WrongFields."""
    wrong = [(name, f"{name} is missing.") for name in _ADDRESS if not fields.values.get(name)]
    if wrong:
        raise WrongFields(*wrong)
    index = fields.values["chunk_index"]
    if _INDEX.fullmatch(index) is None:
        raise WrongFields(("chunk_index", "chunk_index must be a whole number, the first is 0."))
    return fields.values["upload_id"], int(index)


def _plain_type(content_type: str) -> str:
    plain = content_type.partition(";")[0].strip().lower()
    return _ALIASES.get(plain, plain)


def _percent(received: int, total: int | None, *, finished: bool) -> int:
    """Rounded down, so that 100 is the whole file and nothing less."""
    if finished:
        return 100
    return min(99, 100 * received // total) if total else 0


def _chunk_document(progress: Progress) -> dict[str, Any]:
    info = progress.info
    return {
        "upload_id": info.id,
        "status": "completed" if info.finished else "received",
        "progress": _percent(progress.received_bytes, info.length, finished=info.finished),
        "next_chunk": progress.next,
        "missing": list(progress.missing[:MOST_TOLD]),
    }


def _over(medium: Medium) -> Progress:
    """How far an upload came of which only the medium is left."""
    return Progress(UploadInfo(medium.upload_id, medium.size, medium.size), medium.size)


def _job_document(catalog: Catalog, medium: Medium) -> dict[str, Any] | None:
    """What is done for the medium now, or waits to be done; null when nothing is left."""
    for job in catalog.queue.of_medium(medium.id):
        if job.kind in (PROCESS, REGISTER):
            return {
                "kind": job.kind,
                "state": job.state(utc_now()),
                "step": job.step,
                "progress": None if job.progress is None else int(100 * job.progress),
            }
    return None


def _json(document: dict[str, Any], headers: Mapping[str, str]) -> Response:
    return Response(json.dumps(document), 200, headers, mimetype="application/json")
