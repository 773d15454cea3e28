"""Answers of tus 1.0: values in, header text out."""

from collections.abc import Iterable

from tusd_server.errors import UnsupportedVersion, UploadError
from tusd_server.info import UploadInfo
from tusd_server.protocol.headers import VERSION

# What a page of another origin may send and see. X-HTTP-Method-Override, X-Request-ID and
# Authorization are sent by tus-js-client and Uppy; without the exposed ones they cannot resume.
ALLOWED_HEADERS = (
    "Authorization, Content-Type, Origin, Tus-Resumable, Upload-Checksum, Upload-Concat, "
    "Upload-Defer-Length, Upload-Length, Upload-Metadata, Upload-Offset, X-HTTP-Method-Override, "
    "X-Request-ID, X-Requested-With"
)
ALLOWED_METHODS = "POST, HEAD, PATCH, OPTIONS, GET, DELETE"
EXPOSED_HEADERS = (
    "Location, Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, Upload-Expires, "
    "Upload-Length, Upload-Media-Id, Upload-Metadata, Upload-Offset, X-Request-ID"
)


def options_headers(extensions: Iterable[str], max_size: int) -> dict[str, str]:
    """What OPTIONS tells of the server.

    Tus-Extension has no blanks: tusgo and TUSKit split it at the comma and compare.
    """
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(extensions),
        "Tus-Max-Size": str(max_size),
    }


def head_headers(info: UploadInfo) -> dict[str, str]:
    """Where an upload stands.

    "The Server MUST prevent the client and/or proxies from caching the response by adding the
    Cache-Control: no-store header to the response."
    """
    headers = {
        "Upload-Offset": str(info.offset),
        "Upload-Length": str(info.length),
        "Cache-Control": "no-store",
    }
    if info.metadata_header:
        headers["Upload-Metadata"] = info.metadata_header
    return headers


def offset_headers(info: UploadInfo) -> dict[str, str]:
    """Where an upload stands after bytes were taken in."""
    return {"Upload-Offset": str(info.offset)}


def error_headers(error: UploadError) -> dict[str, str]:
    """What goes with an error's sentence."""
    headers = {"Cache-Control": "no-store"}
    if error.offset is not None:
        headers["Upload-Offset"] = str(error.offset)
    if isinstance(error, UnsupportedVersion):
        headers["Tus-Version"] = VERSION
    return headers
