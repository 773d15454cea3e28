"""/api/v1/media/supported-formats and /cleanup/expired: what the server takes, what it drops."""

from collections.abc import Callable, Sequence
from typing import Any

from flask import Blueprint

from processing.limits import Limits
from processing.medium import Medium
from processing.retention import Retention
from processing.sniff import HEIC, JPEG, KINDS, MP4
from processing.tools import Tools
from tusd_server.auth import Auth
from tusd_server.errors import UploadForbidden, UploadNotFound
from tusd_server.protocol.headers import VERSION
from tusd_server.storage.base import extensions
from tusd_server.storage.files import Pause, paced
from tusd_server.uploads.chunked import MOST_CHUNKS
from tusd_server.uploads.service import Uploads
from tusd_server.uploads.sweeper import Swept
from tusd_server.web import schemas
from tusd_server.web.json_bodies import json_body
from tusd_server.web.urls import root_url

Sweep = Callable[[bool], Swept]


class UpkeepApi:
    """The views on the server itself."""

    def __init__(
        self,
        uploads: Uploads,
        auth: Auth,
        limits: Limits,
        *,
        simple_max_size: int,
        sweep: Sweep | None,
        retention: Retention,
        pause: Pause,
    ) -> None:
        """`sweep` does one thorough round, dry where its argument says so; None cannot.

        What takes long calls `pause` now and then, for other requests to run.
        """
        self._retention = retention
        self._pause = pause
        self._uploads = uploads
        self._auth = auth
        self._limits = limits
        self._simple_max_size = simple_max_size
        self._sweep = sweep
        self._ffmpeg = Tools.found().ffmpeg is not None

    def formats(self) -> dict[str, Any]:
        """GET /api/v1/media/supported-formats."""
        self._auth.user()
        limits = self._limits
        return schemas.SupportedFormatsOut(
            video=schemas.VideoRules(
                **_types("video"),
                max_size=min(limits.video_max_size, self._uploads.max_size),
                min_duration=limits.video_min_seconds,
                max_duration=limits.video_max_seconds,
                max_side=limits.video_max_side,
            ),
            image=schemas.ImageRules(
                **_types("image"),
                max_size=min(limits.image_max_size, self._uploads.max_size),
                min_side=limits.image_min_side,
                max_side=limits.image_max_side,
            ),
            ffmpeg=self._ffmpeg,
            thumbnail_side=limits.thumbnail_side,
            chunk_size=schemas.ChunkRules(
                default=schemas.CHUNK_BYTES,
                min=schemas.LEAST_CHUNK_BYTES,
                max=schemas.MOST_CHUNK_BYTES,
                max_chunks=MOST_CHUNKS,
            ),
            simple_max_size=self._simple_max_size,
            images_per_request=schemas.MOST_IMAGES,
            tus=schemas.TusFacts(
                url=f"{root_url()}files/",
                version=VERSION,
                extensions=list(extensions(self._uploads.store)),
                max_size=self._uploads.max_size,
            ),
        ).model_dump()

    def cleanup(self) -> dict[str, Any]:
        """POST /api/v1/media/cleanup/expired: what `tusd-server gc` does; staff only."""
        if not self._auth.user().staff:
            raise UploadForbidden("Only staff may clean up; use a token with the claim `staff`.")
        asked = json_body(schemas.CleanupIn)
        if self._sweep is None:
            raise UploadNotFound("The store of this server cleans up by itself.")
        swept = self._sweep(asked.dry_run)
        retired = self._retention.overdue() if asked.dry_run else self._retention.enforce()
        return _counts(swept, list(paced(retired, self._pause)), dry_run=asked.dry_run)


def _counts(swept: Swept, retired: Sequence[Medium], *, dry_run: bool) -> dict[str, Any]:
    return schemas.CleanupOut(
        dry_run=dry_run,
        expired=len(swept.expired),
        expired_bytes=sum(info.offset for info in swept.expired),
        orphans=len(swept.orphans),
        forgotten=swept.forgotten,
        retired=len(retired),
        retired_bytes=sum(medium.size for medium in retired),
    ).model_dump()


def upkeep_blueprint(api: UpkeepApi) -> Blueprint:
    """The URLs of upkeep."""
    blueprint = Blueprint("upkeep", __name__, url_prefix="/api/v1/media")
    blueprint.add_url_rule("/supported-formats", view_func=api.formats, endpoint="formats")
    blueprint.add_url_rule(
        "/cleanup/expired", view_func=api.cleanup, endpoint="cleanup", methods=["POST"]
    )
    return blueprint


# Beside the extension that a kind gets on the shelf.
_MORE_EXTENSIONS = {JPEG: (".jpeg",), HEIC: (".heif",), MP4: (".m4v",)}


def _types(family: str) -> dict[str, list[str]]:
    kinds = [kind for kind in KINDS if kind.media_type == family]
    return {
        "content_types": [kind.content_type for kind in kinds],
        "extensions": [
            name for kind in kinds for name in (kind.extension, *_MORE_EXTENSIONS.get(kind, ()))
        ],
    }
