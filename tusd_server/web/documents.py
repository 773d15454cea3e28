"""Records as JSON; the field names are a contract with other people's programs."""

from datetime import UTC, datetime
from typing import Any

from processing.medium import Medium
from tusd_server.web.links import Links

# States in which the file lies on the shelf and may be fetched.
STORED = frozenset({"ready", "registered", "published"})


def medium_document(medium: Medium, links: Links, root: str) -> dict[str, Any]:
    """A medium: sizes in bytes, durations in seconds, times in RFC 3339, absent facts as null."""
    stored = medium.status in STORED
    base = f"/api/v1/media/{medium.id}"
    thumbnail = medium.thumbnail
    with_thumbnail = stored and thumbnail is not None and thumbnail.status == "ready"
    return {
        "id": medium.id,
        "upload_id": medium.upload_id,
        "post_id": medium.post_id,
        "media_type": medium.media_type,
        "file_name": medium.file_name,
        "content_type": medium.content_type,
        "size": medium.size,
        "sha256": medium.sha256,
        "status": medium.status,
        "reasons": [{"code": reason.code, "message": reason.message} for reason in medium.reasons],
        "width": medium.width,
        "height": medium.height,
        "duration": medium.duration,
        "codec": medium.codec,
        "bitrate": medium.bitrate,
        "fps": medium.fps,
        "rotation": medium.rotation,
        "thumbhash": medium.thumbhash,
        "url": links.sign(root, f"{base}/file") if stored else None,
        "thumbnail_url": links.sign(root, f"{base}/thumbnail") if with_thumbnail else None,
        "thumbnail": thumbnail_document(medium),
        "created_at": rfc3339(medium.created_at),
        "registered_at": rfc3339(medium.registered_at),
        "published_at": rfc3339(medium.published_at),
        "deleted_at": rfc3339(medium.deleted_at),
        "media_id": medium.id,
        "file_path": medium.path if stored else None,
        "derivatives": derivative_documents(medium, links, root),
        "backend_id": medium.backend_id,
        "deleted_because": medium.deleted_because,
    }


def call_document(medium: Medium, links: Links, root: str) -> dict[str, Any]:
    """A medium as the posts backend is told of it: with its owner, and all that the client said."""
    told = {"owner": medium.owner, "metadata": dict(medium.metadata)}
    return {**medium_document(medium, links, root), **told}


def thumbnail_document(medium: Medium) -> dict[str, Any]:
    """Whether there is a thumbnail; `pending` until the file has been examined."""
    thumbnail = medium.thumbnail
    if thumbnail is not None:
        return {
            "status": thumbnail.status,
            "reason": thumbnail.reason,
            "width": thumbnail.width,
            "height": thumbnail.height,
        }
    pending = medium.status in ("received", "processing")
    return {
        "status": "pending" if pending else "skipped",
        "reason": None if pending else medium.status,
        "width": None,
        "height": None,
    }


def derivative_documents(medium: Medium, links: Links, root: str) -> list[dict[str, Any]]:
    """What else was or will be made of the medium; `url` is null unless it can be fetched."""
    stored = medium.status in STORED
    base = f"/api/v1/media/{medium.id}/derivatives"
    return [
        {
            "name": each.name,
            "url": links.sign(root, f"{base}/{each.name}")
            if stored and each.status == "ready"
            else None,
            "content_type": each.content_type,
            "width": each.width,
            "height": each.height,
            "size": each.size,
            "status": each.status,
            "reason": each.reason,
        }
        for each in medium.derivatives
    ]


def rfc3339(moment: datetime | None) -> str | None:
    """A time as `2026-11-22T09:30:00.123Z`."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
