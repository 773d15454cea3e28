"""The status table: one row for each error of uploads, with the sentence that decides it.

Clients decide by the status what to do next: tus-js-client tries 409, 423 and everything outside
4xx again, and gives up on other 4xx; the Java client tries 5xx and 423. docs/errors.md is made
from this table.
"""

from dataclasses import dataclass
from http import HTTPStatus

from tusd_server import errors
from tusd_server.errors import UploadError


@dataclass(frozen=True, slots=True)
class Row:
    """A status and why; `retry` tells whether clients are meant to try again by themselves."""

    status: int
    why: str
    retry: bool = False


STATUS: dict[type[UploadError], Row] = {
    errors.UnsupportedVersion: Row(
        412,
        "If the version specified by the Client is not supported by the Server, it MUST respond "
        "with the 412 Precondition Failed status and MUST include the Tus-Version header.",
    ),
    errors.BadHeader: Row(400, "RFC 9110: malformed request syntax is a 400 Bad Request."),
    errors.WrongContentType: Row(
        415,
        "All PATCH requests MUST use Content-Type: application/offset+octet-stream, otherwise "
        "the server SHOULD return a 415 Unsupported Media Type status.",
    ),
    errors.OffsetMismatch: Row(
        409,
        "If the offsets do not match, the Server MUST respond with the 409 Conflict status "
        "without modifying the upload resource.",
        retry=True,
    ),
    errors.UploadTooLarge: Row(
        413,
        "If the length of the upload exceeds the maximum, the Server MUST respond with the 413 "
        "Request Entity Too Large status. The same holds for bytes beyond Upload-Length.",
    ),
    errors.UploadNotFound: Row(
        404,
        "If the resource is not found, the Server SHOULD return either the 404 Not Found, 410 "
        "Gone or 403 Forbidden status without the Upload-Offset header.",
    ),
    errors.UploadGone: Row(
        410,
        "The upload was complete and its bytes were deleted, for instance after its post was "
        "published; the Server SHOULD return the 404 Not Found or 410 Gone status.",
    ),
    errors.UnknownChecksum: Row(
        400, "400 Bad Request if the checksum algorithm is not supported by the server."
    ),
    errors.ChecksumMismatch: Row(
        460,
        "460 Checksum Mismatch if the checksums mismatch. The uploaded chunk MUST be discarded, "
        "and the upload and its offset MUST NOT be updated.",
    ),
    errors.FinalUpload: Row(
        403,
        "The Server MUST respond with the 403 Forbidden status to PATCH requests against a final "
        "upload URL and MUST NOT modify the final or its partial uploads.",
    ),
    errors.UploadNotFinished: Row(
        409, "A download needs all bytes; RFC 9110: 409 where the client can resolve it."
    ),
    errors.UploadRefused: Row(
        415,
        "RFC 9110: the format of the content is not supported, as a result of inspecting the "
        "data directly. HEAD answers the same, so no client takes the upload for a success.",
    ),
    errors.UploadForbidden: Row(
        403, "RFC 9110: the server understood the request and refuses to fulfil it."
    ),
    errors.UploadRejected: Row(
        400, "Not in the text; 400 as in tusd, where the hook's receiver names no other status."
    ),
    errors.HookFailed: Row(
        502,
        "RFC 9110: the server, while acting as a gateway, received an invalid response from an "
        "inbound server it accessed while attempting to fulfil the request. No fault of the "
        "client's.",
        retry=True,
    ),
    errors.UploadLocked: Row(
        423, "Not in the text; clients try 423 Locked again after a pause.", retry=True
    ),
    errors.UploadInterrupted: Row(
        400,
        "Not in the text; final, as in tusd, or two tabs would take an upload from each other "
        "for ever.",
    ),
    errors.ServerStopping: Row(503, "RFC 9110: 503 Service Unavailable for a while.", retry=True),
    errors.ReadTimedOut: Row(
        503,
        "RFC 9110 would have 408, which tus-js-client does not try again; the bytes are kept.",
        retry=True,
    ),
    errors.BodyCut: Row(
        400, "RFC 9112: a message that ends early is incomplete; hardly anybody reads the answer."
    ),
    errors.BodyBroken: Row(400, "RFC 9112: invalid chunked framing is a 400 Bad Request."),
    errors.AccessDenied: Row(
        401, "RFC 9110: the request lacks valid credentials; checked before a byte of the body."
    ),
    errors.QuotaExceeded: Row(
        429,
        "RFC 6585: the user has sent too many requests in a given amount of time; with "
        "Retry-After. Uppy pauses all uploads.",
        retry=True,
    ),
    errors.MalformedBody: Row(
        400, "RFC 9110: malformed request syntax is a 400 Bad Request; JSON API only."
    ),
    errors.WrongBodyType: Row(
        415, "RFC 9110: the content is in a format not supported by this method; JSON API only."
    ),
    errors.WrongFields: Row(
        422,
        "RFC 9110: the syntax of the content is correct, but its instructions cannot be "
        "processed; `errors` names the fields. JSON API only.",
    ),
    errors.PostMismatch: Row(
        409, "RFC 9110: a conflict with the current state of the resource; JSON API only."
    ),
    errors.MediumRejected: Row(
        422,
        "RFC 9110: well-formed, but not to be processed; `reasons` and `media_id` lead on. "
        "JSON API only.",
    ),
    errors.NotExaminedInTime: Row(
        503, "RFC 9110: a temporary overload; nothing was kept. JSON API only.", retry=True
    ),
    errors.StorageFull: Row(
        507, "RFC 4918: 507 Insufficient Storage; Upload-Offset is the true offset.", retry=True
    ),
}


def status_of(error: UploadError) -> int:
    """The status that answers an error: its class's row, or the nearest base's.

    Where a hook decided on another one, that is the answer.
    """
    if isinstance(error, errors.UploadRejected) and error.status is not None:
        return error.status
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind].status
    return 500


def reason_phrase(status: int) -> str:
    """The words behind a status in the status line; 460 is tus's own, hooks may have others."""
    if status == 460:
        return "Checksum Mismatch"
    return HTTPStatus(status).phrase if status in _KNOWN else "Unknown"


_KNOWN = frozenset(HTTPStatus)
