"""Every operation of the JSON API, as /api/v1/openapi.json and /api/v1/docs tell it.

A route without its entry here fails tests/web/test_openapi.py.
"""

from collections.abc import Mapping
from typing import Any, Final, get_args

from processing.medium import POST_ID_LENGTH, Status
from tusd_server.web import schemas
from tusd_server.web.openapi import BINARY, Answer, Operation

MEDIA = "/api/v1/media"
POSTS = "/api/v1/posts"

_MEDIUM = Answer("The medium", (schemas.MediaOut,))
_LATER = Answer("The medium, whose examination is not over; ask again", (schemas.MediaOut,))
_RESULTS = (schemas.MediaOut, schemas.ImageError)
_SIGNED: Final[Mapping[str, Any]] = {
    "expires": {"type": "string", "description": "Of a signed link."},
    "signature": {"type": "string", "description": "Of a signed link, in place of a token."},
}
_POST_ID = {
    "type": "string",
    "maxLength": POST_ID_LENGTH,
    "description": "The post the medium is for.",
}
_BYTES = {**BINARY, "description": "The bytes, with a file name."}


def _bytes_of(*types: str) -> dict[int, Answer]:
    """The answers of a file that can be fetched in ranges."""
    return {
        200: Answer("The bytes", types=types),
        206: Answer("A range of them", types=(*types, "multipart/byteranges")),
    }


OPERATIONS: Final = (
    Operation(
        "post",
        f"{MEDIA}/upload/init",
        "Uploads",
        "Begin an upload in chunks",
        {200: Answer("The upload", (schemas.UploadInitOut,))},
        (400, 403, 413, 415, 422, 429, 503, 507),
        "What could never be accepted is refused here. The same upload takes tus requests at "
        "upload_url.",
        body=schemas.UploadInitIn,
        example={
            "file_name": "large_video.mp4",
            "file_size": 524288000,
            "content_type": "video/mp4",
            "chunk_size": 5242880,
        },
    ),
    Operation(
        "post",
        f"{MEDIA}/upload/chunk",
        "Uploads",
        "Send a chunk",
        {200: Answer("How far the upload has come", (schemas.ChunkOut,))},
        (400, 404, 409, 410, 413, 415, 422, 423, 503, 507),
        "In any order, several at once, and again after a break. Nothing of a chunk is kept that "
        "does not come whole. It costs least with the chunk as the last part of the form.",
        form={
            "upload_id": {"type": "string", "minLength": 1, "description": "Of `init`."},
            "chunk_index": {"type": "integer", "minimum": 0, "description": "The first is 0."},
            "chunk": _BYTES,
        },
        form_required=("upload_id", "chunk_index", "chunk"),
    ),
    Operation(
        "get",
        f"{MEDIA}/upload/{{upload_id}}/status",
        "Uploads",
        "How far an upload has come",
        {200: Answer("The progress, and the medium", (schemas.UploadStatusOut,))},
        (404, 410, 415),
        "For uploads in chunks and by tus.",
    ),
    Operation(
        "get",
        f"{MEDIA}/upload/{{upload_id}}/events",
        "Uploads",
        "Follow an upload while it happens",
        {
            200: Answer("Events `progress` and `state`", types=("text/event-stream",)),
            204: Answer("There is no more to be told", types=()),
        },
        (404, 410, 415),
        "Server-sent events, until the examination is over or TUSD_EVENTS_LIFETIME_SECONDS.",
        query=_SIGNED,
    ),
    Operation(
        "post",
        f"{MEDIA}/upload/{{upload_id}}/finalize",
        "Uploads",
        "Get the medium of a complete upload, and give it to a post",
        {200: _MEDIUM, 202: _LATER},
        (400, 404, 409, 410, 413, 415, 422, 503),
        "May be repeated. Waits for the examination up to TUSD_ANSWER_WAIT_SECONDS. For uploads "
        "in chunks and by tus. 409 names the missing_chunks, or says that the medium is another "
        "post's.",
        body=schemas.FinalizeIn,
        body_required=False,
        example={"post_id": "post-456"},
    ),
    Operation(
        "post",
        f"{MEDIA}/upload/simple",
        "Uploads",
        "Upload one file in one form",
        {200: _MEDIUM, 202: _LATER},
        (400, 403, 413, 415, 422, 429, 503, 507),
        "Waits for the thumbnail up to TUSD_ANSWER_WAIT_SECONDS. The fields may come in any order.",
        form={
            "file": _BYTES,
            "post_id": _POST_ID,
            "media_type": {"type": "string", "enum": ["image", "video"]},
        },
        form_required=("file",),
    ),
    Operation(
        "post",
        f"{MEDIA}/upload/images",
        "Uploads",
        f"Upload one to {schemas.MOST_IMAGES} images in one form",
        {
            200: Answer("Every image, examined", _RESULTS, many=True),
            202: Answer("Every image; some are not examined yet", _RESULTS, many=True),
            207: Answer("Each image's medium, or its own error", _RESULTS, many=True),
        },
        (400, 403, 413, 415, 422, 429, 503, 507),
        "With all_or_nothing no image is kept unless every one is found good in time.",
        form={
            "images": {
                "type": "array",
                "items": _BYTES,
                "minItems": 1,
                "maxItems": schemas.MOST_IMAGES,
            },
            "post_id": _POST_ID,
            "all_or_nothing": {"type": "boolean"},
        },
        form_required=("images",),
    ),
    Operation(
        "get",
        MEDIA,
        "Media",
        "List media, newest upload first",
        {200: Answer("A page", (schemas.MediaPage,))},
        (400,),
        query={
            "post_id": {"type": "string"},
            "status": {"type": "string", "enum": list(get_args(Status))},
            "limit": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
            "cursor": {"type": "string", "description": "`next` of the page before."},
        },
    ),
    Operation(
        "get",
        f"{MEDIA}/events",
        "Media",
        "Follow all of one's media while they change",
        {200: Answer("Events `medium` and `reset`", types=("text/event-stream",))},
        description="Server-sent events; everybody's for staff.",
    ),
    Operation(
        "get",
        f"{MEDIA}/usage",
        "Media",
        "How much of the disk each user has taken",
        {200: Answer("By user", (schemas.UsagePage,))},
        (403,),
        "One's own; everybody's for staff.",
        query={"owner": {"type": "string"}},
    ),
    Operation("get", f"{MEDIA}/{{media_id}}", "Media", "Show a medium", {200: _MEDIUM}, (404,)),
    Operation(
        "delete",
        f"{MEDIA}/{{media_id}}",
        "Media",
        "Delete a medium's files; its record stays",
        {200: _MEDIUM},
        (403, 404, 423),
        "May be repeated. For its owner and for staff.",
    ),
    Operation(
        "get",
        f"{MEDIA}/{{media_id}}/file",
        "Media",
        "Fetch the original",
        _bytes_of("image/*", "video/*"),
        (404, 410, 416),
        query=_SIGNED,
    ),
    Operation(
        "get",
        f"{MEDIA}/{{media_id}}/thumbnail",
        "Media",
        "Fetch the thumbnail",
        _bytes_of("image/*"),
        (404, 410, 416),
        query=_SIGNED,
    ),
    Operation(
        "get",
        f"{MEDIA}/{{media_id}}/derivatives/{{name}}",
        "Media",
        "Fetch another file made of the medium",
        _bytes_of("image/*", "video/*"),
        (404, 410, 416),
        query=_SIGNED,
    ),
    Operation(
        "get",
        f"{MEDIA}/supported-formats",
        "Server",
        "What this server takes",
        {200: Answer("Types, limits and the ways to upload", (schemas.SupportedFormatsOut,))},
    ),
    Operation(
        "post",
        f"{MEDIA}/cleanup/expired",
        "Server",
        "Delete what has expired; for staff",
        {200: Answer("What was deleted, or would be", (schemas.CleanupOut,))},
        (400, 403, 404, 413, 415, 422, 503),
        body=schemas.CleanupIn,
        body_required=False,
        example={"dry_run": True},
    ),
    Operation(
        "get",
        f"{POSTS}/{{post_id}}",
        "Posts",
        "Show a post and its registered media",
        {200: Answer("The post", (schemas.PostOut,))},
        (404,),
    ),
    Operation(
        "post",
        f"{POSTS}/{{post_id}}/published",
        "Posts",
        "Tell that a post is published: its files go, its records stay",
        {200: Answer("The post", (schemas.PostOut,))},
        (400, 404, 413),
        "May be repeated. A call that is signed with TUSD_POSTS_SECRET needs no token.",
        body=schemas.PublicationIn,
        body_required=False,
        example={"success": True},
    ),
    Operation(
        "get",
        "/api/v1/openapi.json",
        "Server",
        "This document",
        {200: Answer("OpenAPI 3.1")},
        public=True,
    ),
    Operation(
        "get",
        "/api/v1/docs",
        "Server",
        "This document as a page",
        {200: Answer("The page", types=("text/html",))},
        public=True,
    ),
    Operation(
        "get",
        "/healthz",
        "Server",
        "Whether the process lives",
        {200: Answer("It does", (schemas.HealthOut,))},
        public=True,
    ),
    Operation(
        "get",
        "/readyz",
        "Server",
        "Whether the storage, the database and Redis can be used",
        {
            200: Answer("All of them", (schemas.ReadyOut,)),
            503: Answer("Not all of them", (schemas.ReadyOut,)),
        },
        public=True,
    ),
)
