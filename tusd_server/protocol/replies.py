"""Answers of tus 1.0: values in, header text out."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from email.utils import format_datetime

from tusd_server.errors import QuotaExceeded, UnsupportedVersion, UploadError
from tusd_server.info import UploadInfo
from tusd_server.protocol.headers import VERSION

# What a page of another origin may send and see. X-HTTP-Method-Override, X-Request-ID and
# Authorization are sent by tus-js-client and Uppy; without the exposed ones they cannot resume.
ALLOWED_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Origin, Repr-Digest, "
    "Tus-Resumable, Upload-Checksum, Upload-Concat, Upload-Defer-Length, Upload-Length, "
    "Upload-Metadata, Upload-Offset, X-HTTP-Method-Override, X-Request-ID, X-Requested-With"
)
ALLOWED_METHODS = "POST, HEAD, PATCH, OPTIONS, GET, DELETE"
EXPOSED_HEADERS = (
    "Location, Retry-After, Tus-Checksum-Algorithm, Tus-Extension, Tus-Max-Size, Tus-Resumable, "
    "Tus-Version, Upload-Concat, Upload-Defer-Length, Upload-Expires, Upload-Length, "
    "Upload-Media-Id, Upload-Metadata, Upload-Offset, X-Request-ID"
)


def options_headers(
    extensions: Sequence[str], algorithms: Iterable[str], max_size: int
) -> dict[str, str]:
    """What OPTIONS tells of the server.

    Tus-Extension has no blanks: tusgo and TUSKit split it at the comma and compare.
    """
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(extensions),
        "Tus-Max-Size": str(max_size),
    }
    if "checksum" in extensions:
        headers["Tus-Checksum-Algorithm"] = ",".join(algorithms)
    return headers


def head_headers(info: UploadInfo, expires: datetime | None) -> dict[str, str]:
    """Where an upload stands.

    "The Server MUST prevent the client and/or proxies from caching the response by adding the
    Cache-Control: no-store header to the response."
    """
    headers = {"Cache-Control": "no-store"}
    if info.finished or not info.final:
        # "The response to a HEAD request for a final upload SHOULD NOT contain the Upload-Offset
        # header unless the concatenation has been successfully finished."
        headers["Upload-Offset"] = str(info.offset)
    if info.length is None:
        headers["Upload-Defer-Length"] = "1"
    else:
        headers["Upload-Length"] = str(info.length)
    if info.metadata_header:
        headers["Upload-Metadata"] = info.metadata_header
    if info.concat is not None:
        headers["Upload-Concat"] = info.concat
    return headers | expires_header(expires)


def offset_headers(info: UploadInfo, expires: datetime | None) -> dict[str, str]:
    """Where an upload stands after bytes were taken in."""
    return {"Upload-Offset": str(info.offset)} | expires_header(expires)


def expires_header(expires: datetime | None) -> dict[str, str]:
    """When an unfinished upload will be forgotten.

    "The value of the Upload-Expires header MUST be in RFC 9110 datetime format."
    """
    if expires is None:
        return {}
    return {"Upload-Expires": format_datetime(expires, usegmt=True)}


def error_headers(error: UploadError) -> dict[str, str]:
    """What goes with an error's sentence."""
    headers = {"Cache-Control": "no-store"} | expires_header(error.expires)
    if error.offset is not None:
        headers["Upload-Offset"] = str(error.offset)
    if isinstance(error, QuotaExceeded):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, UnsupportedVersion):
        headers["Tus-Version"] = VERSION
    return headers
