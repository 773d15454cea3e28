"""Everything that can go wrong, named for what happened; no HTTP numbers here.

TusdError
├── BadSetting                   a `TUSD_*` variable that cannot be used
└── UploadError                  what a client of the upload protocol is told
    ├── UnsupportedVersion       Tus-Resumable is missing or not 1.0.0
    ├── BadHeader                a header that is missing or cannot be read
    ├── WrongContentType         PATCH needs application/offset+octet-stream
    ├── OffsetMismatch           Upload-Offset is not where the upload stands
    ├── UploadTooLarge           more bytes than Tus-Max-Size or Upload-Length allow
    ├── UploadNotFound           no such upload, or not yours
    ├── UploadGone               it was here, its bytes are deleted
    ├── UnknownChecksum          an algorithm that is not offered
    ├── ChecksumMismatch         the bytes are not those that the client sent
    ├── FinalUpload              made of others, it takes no bytes of its own
    ├── UploadNotFinished        bytes are still missing
    ├── UploadRefused            a check of the content failed for good
    ├── UploadForbidden          a hook does not allow it
    ├── UploadRejected           a hook does not allow it, and answers for itself
    ├── HookFailed               a hook could not be asked
    ├── UploadLocked             another request writes and did not let go in time
    ├── UploadInterrupted        a newer request took this upload over
    ├── ServerStopping           the server stops; the bytes are kept
    ├── ReadTimedOut             the client sent nothing for too long
    ├── BodyCut                  the connection ended before the body did
    ├── BodyBroken               the body does not follow HTTP's framing
    ├── AccessDenied             no token, or one that does not hold
    ├── QuotaExceeded            the user has too much, or begins too often
    ├── MalformedBody            the body is not the JSON or the form that it must be
    ├── WrongBodyType            the body is of another kind than the URL takes
    ├── WrongFields              fields that are missing or cannot be used
    ├── PostMismatch             the medium belongs to another post already
    ├── MediumRejected           the examination found the file against the rules
    ├── NotExaminedInTime        all or nothing was asked for, and not all is known
    └── StorageFull              the disk has no room
"""

from collections.abc import Mapping
from datetime import datetime


class TusdError(Exception):
    """The base of all errors of this program."""


class BadSetting(TusdError):
    """A setting that cannot be used; the text is one sentence for the operator."""


class UploadError(TusdError):
    """The base of what a client is told; the text is one sentence that it may see."""

    def __init__(self, message: str, *, offset: int | None = None) -> None:
        """`offset` is where the upload stands in bytes, when the client can use it.

        `expires` is set by whoever knows when the upload will be forgotten. `details` are what
        problem details of the JSON API tell beside the sentence.
        """
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.expires: datetime | None = None
        self.details: Mapping[str, object] = {}


class UnsupportedVersion(UploadError):
    """Tus-Resumable is missing or names a version that this server does not speak."""


class BadHeader(UploadError):
    """A request header is missing, repeated or malformed."""


class WrongContentType(UploadError):
    """The body is not declared as application/offset+octet-stream."""


class OffsetMismatch(UploadError):
    """Upload-Offset differs from the upload's offset."""


class UploadTooLarge(UploadError):
    """The upload, or this body, is larger than allowed."""


class UploadNotFound(UploadError):
    """There is no such upload for this user."""


class UploadGone(UploadError):
    """The upload existed, its bytes have been deleted."""


class UnknownChecksum(UploadError):
    """The checksum's algorithm is not one that this server offers."""


class ChecksumMismatch(UploadError):
    """The bytes do not have the checksum that the client sent; they are discarded."""


class FinalUpload(UploadError):
    """An upload that is made of others takes no bytes of its own."""


class UploadNotFinished(UploadError):
    """The operation needs all bytes, some are missing."""


class UploadRefused(UploadError):
    """The content was checked and refused for good; the upload cannot go on."""

    def __init__(self, message: str, *, code: str) -> None:
        """`code` is the machine-readable reason, such as `type_not_allowed`."""
        super().__init__(message)
        self.code = code


class UploadForbidden(UploadError):
    """A hook does not allow this to this user."""


class UploadRejected(UploadError):
    """A hook does not allow it; the hook's receiver may choose the status, the body and headers."""

    def __init__(
        self, message: str, *, status: int | None = None, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """`message` is the body as it is sent; without a status there is a usual one."""
        super().__init__(message)
        self.status = status
        self.headers = headers


class HookFailed(UploadRejected):
    """A hook could not be asked, or its reply not be used; another try may help."""


class UploadLocked(UploadError):
    """Another request is writing and did not let go in time."""


class UploadInterrupted(UploadError):
    """A newer request for the same upload took over; the bytes so far are kept."""


class ServerStopping(UploadError):
    """The server stops; the bytes so far are kept."""


class ReadTimedOut(UploadError):
    """The client sent nothing for too long; the bytes so far are kept."""


class BodyCut(UploadError):
    """The connection ended before the body did; the bytes so far are kept."""


class BodyBroken(UploadError):
    """The body's chunked framing is broken; the bytes before the fault are kept."""


class AccessDenied(UploadError):
    """The request carries no token, or one that does not hold."""


class QuotaExceeded(UploadError):
    """The user has too much stored or under way, or begins uploads too often."""

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        """After so many seconds it is worth another try."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class MalformedBody(UploadError):
    """The body of a request of the JSON API cannot be read as the JSON or the form it must be."""


class WrongBodyType(UploadError):
    """The body is of another content type than this URL of the JSON API takes."""


class WrongFields(UploadError):
    """Fields of a request are missing, repeated or hold what cannot be used."""

    def __init__(self, *errors: tuple[str, str]) -> None:
        """Each of `errors` is a field's name and the sentence about it; at least one."""
        super().__init__(" ".join(message for _, message in errors))
        self.details = {"errors": [{"field": name, "message": text} for name, text in errors]}


class PostMismatch(UploadError):
    """The medium belongs to another post already."""


class MediumRejected(UploadError):
    """The file was examined and breaks the rules; its record says why."""


class NotExaminedInTime(UploadError):
    """All or nothing was asked for, and not every file was examined in time; nothing is kept."""


class StorageFull(UploadError):
    """The disk has no room for these bytes."""
