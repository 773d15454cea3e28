"""/api/v1/media: what became of an upload, and its files."""

import re
from typing import Any, get_args

from flask import Blueprint, Response, json, request

from processing.catalog import Catalog
from processing.cleanup import clear
from processing.medium import Medium, Status
from processing.recipe import STORYBOARD
from processing.shelf import Shelf
from tusd_server.auth import Auth, User
from tusd_server.errors import BadHeader, UploadGone, UploadNotFound
from tusd_server.uploads.service import Uploads
from tusd_server.web.documents import STORED, medium_document
from tusd_server.web.downloads import send_media, send_times
from tusd_server.web.links import Links
from tusd_server.web.tus import request_body, request_facts
from tusd_server.web.urls import root_url

MOST_ITEMS = 200
_LIMIT = re.compile(r"[0-9]{1,3}", re.ASCII)


class MediaApi:
    """The views on media; staff sees everybody's, others their own."""

    def __init__(
        self, catalog: Catalog, shelf: Shelf, auth: Auth, links: Links, uploads: Uploads
    ) -> None:
        """Wire the rooms together."""
        self._uploads = uploads
        self._catalog = catalog
        self._shelf = shelf
        self._auth = auth
        self._links = links

    def one(self, media_id: str) -> dict[str, Any]:
        """GET /api/v1/media/<id>."""
        return self.document(self._mine(media_id, self._auth.user()))

    def many(self) -> dict[str, Any]:
        """GET /api/v1/media?post_id=&status=&limit=&cursor=: newest first."""
        user = self._auth.user()
        try:
            found, following = self._catalog.find(
                owner=None if user.staff else user.id,
                post_id=request.args.get("post_id"),
                status=_status(request.args.get("status")),
                after=request.args.get("cursor"),
                limit=_limit(request.args.get("limit", "50")),
            )
        except ValueError as error:
            raise BadHeader(str(error)) from None
        return {"items": [self.document(medium) for medium in found], "next": following}

    def file(self, media_id: str) -> Response:
        """GET /api/v1/media/<id>/file: the original, by link or by token."""
        medium = self._linked(media_id)
        if medium.path is None or medium.content_type is None:
            raise UploadNotFound("The medium has no file.")
        name = medium.file_name or medium.id
        return send_media(self._shelf.full(medium.path), medium.content_type, name)

    def thumbnail(self, media_id: str) -> Response:
        """GET /api/v1/media/<id>/thumbnail: a JPEG or WebP, by link or by token."""
        medium = self._linked(media_id)
        thumbnail = medium.thumbnail
        if medium.thumbnail_path is None or thumbnail is None or thumbnail.status != "ready":
            raise UploadNotFound("The medium has no thumbnail.")
        path = self._shelf.full(medium.thumbnail_path)
        return send_media(path, thumbnail.content_type, path.name)

    def derivative(self, media_id: str, name: str) -> Response:
        """GET /api/v1/media/<id>/derivatives/<name>: one more file made of it, by link or token."""
        medium = self._linked(media_id)
        ready = {each.name: each for each in medium.derivatives if each.status == "ready"}
        if name not in ready:
            raise UploadNotFound("The medium has no such derivative.")
        path = self._shelf.full(ready[name].path)
        if ready[name].content_type == "text/vtt":
            sprite = f"/api/v1/media/{medium.id}/derivatives/{STORYBOARD}"
            return send_times(path, f"{STORYBOARD}.jpg", self._links.sign(root_url(), sprite))
        return send_media(path, ready[name].content_type, path.name)

    def delete(self, media_id: str) -> dict[str, Any]:
        """DELETE /api/v1/media/<id>: its files and its upload go, the record says so and stays."""
        medium = self._mine(media_id, self._auth.user())
        if medium.status != "deleted":
            try:
                self._uploads.terminate(
                    medium.upload_id, medium.owner, request_body(), request_facts()
                )
            except (UploadNotFound, UploadGone):  # the upload's own URL is forgotten already
                clear(self._catalog, self._shelf, [medium])
            medium = self._mine(media_id, self._auth.user())
            if medium.status != "deleted":
                raise RuntimeError(f"the files of medium {media_id} could not be deleted")
        return self.document(medium)

    def answer(self, medium: Medium, status: int) -> Response:
        """The medium's document under this status, with the URL at which to ask again."""
        response = Response(json.dumps(self.document(medium)), status, mimetype="application/json")
        response.headers["Content-Location"] = f"{root_url()}api/v1/media/{medium.id}"
        if status == 202:
            response.headers["Retry-After"] = "1"
        return response

    def document(self, medium: Medium) -> dict[str, Any]:
        """The medium's JSON, its links made for the host that asks."""
        return medium_document(medium, self._links, root_url())

    def events_url(self, upload_id: str) -> str:
        """A signed link to the events of an upload, for an EventSource that can send no token."""
        return self._links.sign(root_url(), f"/api/v1/media/upload/{upload_id}/events")

    def _mine(self, media_id: str, user: User) -> Medium:
        medium = self._catalog.get(media_id)
        if medium is None or not (user.staff or medium.owner == user.id):
            raise UploadNotFound("There is no such medium.")
        return medium

    def _linked(self, media_id: str) -> Medium:
        """The medium, for whoever brings a signed link or a token of its owner."""
        if "signature" in request.args:
            self._links.check(
                request.path, request.args.get("expires", ""), request.args["signature"]
            )
            medium = self._catalog.get(media_id)
            if medium is None:
                raise UploadNotFound("There is no such medium.")
        else:
            medium = self._mine(media_id, self._auth.user())
        if medium.status == "deleted":
            raise UploadGone("The medium's files have been deleted.")
        if medium.status not in STORED:
            raise UploadNotFound(f"The medium has no file to show; its status is {medium.status}.")
        return medium


def media_blueprint(api: MediaApi) -> Blueprint:
    """The URLs of media."""
    blueprint = Blueprint("media", __name__, url_prefix="/api/v1/media")
    blueprint.add_url_rule("", view_func=api.many, endpoint="many")
    blueprint.add_url_rule("/<media_id>", view_func=api.one, endpoint="one")
    blueprint.add_url_rule(
        "/<media_id>", view_func=api.delete, endpoint="delete", methods=["DELETE"]
    )
    blueprint.add_url_rule("/<media_id>/file", view_func=api.file, endpoint="file")
    blueprint.add_url_rule("/<media_id>/thumbnail", view_func=api.thumbnail, endpoint="thumbnail")
    blueprint.add_url_rule(
        "/<media_id>/derivatives/<name>", view_func=api.derivative, endpoint="derivative"
    )
    return blueprint


def _limit(text: str) -> int:
    if _LIMIT.fullmatch(text) is None or not 1 <= int(text) <= MOST_ITEMS:
        raise BadHeader(f"limit must be a whole number from 1 to {MOST_ITEMS}.")
    return int(text)


def _status(text: str | None) -> Status | None:
    for status in get_args(Status):
        if text == status:
            return status  # type: ignore[no-any-return]
    if text is None:
        return None
    raise BadHeader("status must be one of " + ", ".join(get_args(Status)) + ".")
