"""/api/v1/media/upload/simple and /images: whole files in one form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, json, request

from hooks.events import POST_KEY
from processing.medium import Medium
from processing.sniff import KINDS
from tusd_server.errors import (
    NotExaminedInTime,
    UploadError,
    UploadRefused,
    UploadRejected,
    UploadTooLarge,
    WrongFields,
)
from tusd_server.protocol.status import status_of
from tusd_server.web.intake import Batch, FormRooms, Most, TakenFile
from tusd_server.web.json_bodies import checked
from tusd_server.web.multipart import FORM_ROOM_BYTES, Fields, Form, Part
from tusd_server.web.responses import problem_document
from tusd_server.web.schemas import MOST_IMAGES, FormFields
from tusd_server.web.settling import is_settled, rejection_of, status_for
from tusd_server.web.tus import request_body, request_facts

_IMAGES = ", ".join(kind.content_type for kind in KINDS if kind.media_type == "image")


@dataclass(slots=True)
class Image:
    """One image of several: what was taken, then its medium, or why there is none."""

    file_name: str | None
    taken: TakenFile | None = None
    media_id: str | None = None
    error: UploadError | None = None


class DirectApi:
    """The views on uploads of one request."""

    def __init__(self, rooms: FormRooms) -> None:
        """Wire the rooms together."""
        self._rooms = rooms

    def simple(self) -> Response:
        """POST /api/v1/media/upload/simple: one file; waits a while for its thumbnail."""
        user = self._rooms.auth.user()
        form = _form(self._rooms.simple_max_size)
        fields = Fields("post_id", "media_type", files="file")
        file: TakenFile | None = None
        with self._rooms.intake.batch(user.id, request_facts()) as batch:
            for part in form:
                if part.name != "file":
                    fields.take(part)
                elif file is not None:
                    raise WrongFields(("file", "file must be there once only."))
                else:
                    file = batch.take(part, self._most_of_simple(part), _named(fields))
            said = checked(FormFields, fields.values)
            if file is None:
                raise WrongFields(("file", "file is missing."))
            _check_family(file, said.media_type)
            media_id = batch.finish(file.info, _of_post(said.post_id))
        (medium,) = self._rooms.settling.wait([media_id])
        return self._rooms.media.answer(medium, status_for(medium))

    def images(self) -> Response:
        """POST /api/v1/media/upload/images: one to ten images, each with its own result."""
        user = self._rooms.auth.user()
        most = self._rooms.intake.family_limit("image")
        form = _form(MOST_IMAGES * most.size)
        fields = Fields("post_id", "all_or_nothing", files="images")
        images: list[Image] = []
        with self._rooms.intake.batch(user.id, request_facts()) as batch:
            for part in form:
                if part.name != "images":
                    fields.take(part)
                elif len(images) == MOST_IMAGES:
                    raise WrongFields(
                        ("images", f"images must be there at most {MOST_IMAGES} times.")
                    )
                else:
                    images.append(_take_image(batch, part, most))
            said = checked(FormFields, fields.values)
            if not images:
                raise WrongFields(("images", f"images is missing; send 1 to {MOST_IMAGES}."))
            if said.all_or_nothing:
                _raise_if_any_failed(images)
            # Of all or nothing the post hears when all are found good.
            known = _of_post(None if said.all_or_nothing else said.post_id)
            for image in images:
                _finish_image(batch, image, known)
            if said.all_or_nothing:
                return self._all_or_nothing(images, said.post_id)
        return self._each(images)

    def _each(self, images: list[Image]) -> Response:
        ids = [image.media_id for image in images if image.media_id is not None]
        media = {medium.id: medium for medium in self._rooms.settling.wait(ids)}
        _note_rejections(images, media)
        good = [media[i.media_id] for i in images if i.error is None and i.media_id is not None]
        if not good:
            _raise_if_any_failed(images)
        status = 207 if len(good) < len(images) else max(map(status_for, good))
        return _json([self._result(n, image, media) for n, image in enumerate(images)], status)

    def _all_or_nothing(self, images: list[Image], post_id: str | None) -> Response:
        """Give the media to their post only when every one is known to be good."""
        ids = [image.media_id for image in images if image.media_id is not None]
        settled = self._rooms.settling.wait(ids)
        media = {medium.id: medium for medium in settled}
        _note_rejections(images, media)
        _raise_if_any_failed(images)
        if not all(is_settled(medium) and medium.status != "failed" for medium in settled):
            raise NotExaminedInTime(
                "Not every image was examined within "
                f"{self._rooms.settling.wait_seconds:g} s, so none is kept; send them again."
            )
        if post_id is not None:
            self._rooms.catalog.assign_post_to_all(ids, post_id)
        return _json([self._result(n, image, media) for n, image in enumerate(images)], 200)

    def _result(self, index: int, image: Image, media: Mapping[str, Medium]) -> dict[str, Any]:
        if image.error is None and image.media_id is not None:
            fresh = self._rooms.catalog.get(image.media_id) or media[image.media_id]
            return self._rooms.media.document(fresh)
        error = image.error or UploadError("The image was not taken.")
        return {"index": index, "file_name": image.file_name, "error": _problem_of(error)}

    def _most_of_simple(self, part: Part) -> Most:
        rule = Most(self._rooms.simple_max_size, "this URL takes; send larger files by upload/init")
        return self._rooms.intake.most(part.file_name, part.content_type, rule)


def direct_blueprint(api: DirectApi) -> Blueprint:
    """The URLs of uploads of one request."""
    blueprint = Blueprint("direct", __name__, url_prefix="/api/v1/media/upload")
    blueprint.add_url_rule("/simple", view_func=api.simple, methods=["POST"], endpoint="simple")
    blueprint.add_url_rule("/images", view_func=api.images, methods=["POST"], endpoint="images")
    return blueprint


def _form(most_bytes: int) -> Form:
    content_type = request.headers.get("Content-Type")
    return Form(request_body(), content_type, most_bytes=most_bytes + FORM_ROOM_BYTES)


def _named(fields: Fields) -> dict[str, str]:
    """The post as the hooks of a creation see it, where its field came before the file."""
    return _of_post(checked(FormFields, fields.values).post_id)


def _of_post(post_id: str | None) -> dict[str, str]:
    return {} if post_id is None else {POST_KEY: post_id}


def _check_family(file: TakenFile, media_type: str | None) -> None:
    if media_type is not None and file.kind.media_type != media_type:
        raise UploadRefused(
            f"The file is {file.kind.content_type} but media_type says {media_type}; "
            "declare what it is.",
            code="type_mismatch",
        )


def _take_image(batch: Batch, part: Part, most: Most) -> Image:
    """Take in one image; what is wrong with it is its own affair, unless the form is broken."""
    image = Image(part.file_name)
    try:
        image.taken = batch.take(part, most, {})
        kind = image.taken.kind
        if kind.media_type != "image":
            batch.forget(image.taken.info)
            raise UploadRefused(
                f"The file is {kind.content_type}; send one of {_IMAGES}.", code="type_not_allowed"
            )
    except (UploadRefused, UploadRejected, UploadTooLarge, WrongFields) as error:
        image.error = error
    return image


def _finish_image(batch: Batch, image: Image, metadata: Mapping[str, str]) -> None:
    if image.error is not None or image.taken is None:
        return
    try:
        image.media_id = batch.finish(image.taken.info, metadata)
    except (UploadRefused, UploadRejected) as error:
        batch.forget(image.taken.info)
        image.error = error


def _note_rejections(images: list[Image], media: Mapping[str, Medium]) -> None:
    for image in images:
        medium = media.get(image.media_id or "")
        if medium is not None and medium.status == "rejected":
            image.error = rejection_of(medium)


def _raise_if_any_failed(images: list[Image]) -> None:
    wrong = [(f"images.{n}", i.error.message) for n, i in enumerate(images) if i.error is not None]
    if wrong:
        raise WrongFields(*wrong)


def _problem_of(error: UploadError) -> dict[str, object]:
    code = error.code if isinstance(error, UploadRefused) else None
    return problem_document(status_of(error), error.message, code, error.details)


def _json(document: object, status: int) -> Response:
    return Response(json.dumps(document), status, mimetype="application/json")
