"""Requests of tus 1.0, checked and frozen."""

from collections.abc import Mapping
from dataclasses import dataclass

from tusd_server.errors import (
    BadHeader,
    UnsupportedVersion,
    UploadTooLarge,
    WrongContentType,
)
from tusd_server.hashing import Checksum
from tusd_server.metadata import Metadata
from tusd_server.protocol.checksum import (
    parse_checksum,
    parse_declared_sha256,
    parse_repr_digest,
)
from tusd_server.protocol.concat import Concat
from tusd_server.protocol.headers import (
    OFFSET_OCTET_STREAM,
    VERSION,
    Headers,
    number,
    required_number,
)


def check_version(headers: Headers) -> None:
    """Raise UnsupportedVersion unless the request speaks 1.0.0.

    "If the version specified by the Client is not supported by the Server, it MUST respond with
    the 412 Precondition Failed status and MUST include the Tus-Version header into the response.
    In addition, the Server MUST NOT process the request."
    """
    version = headers.get("Tus-Resumable")
    if version != VERSION:
        said = "is missing" if version is None else "names another version"
        raise UnsupportedVersion(f"Tus-Resumable {said}; this server speaks {VERSION}.")


def content_length(headers: Headers) -> int | None:
    """The body's length in bytes; None when only reading it will tell (HTTP/1.1 chunked)."""
    if headers.get("Transfer-Encoding") is not None:
        return None
    text = headers.get("Content-Length")
    return number("Content-Length", text) if text else 0


def _is_offset_octet_stream(headers: Headers) -> bool:
    media_type = (headers.get("Content-Type") or "").partition(";")[0]
    return media_type.strip().lower() == OFFSET_OCTET_STREAM


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """POST /files/: make an upload, perhaps with its first bytes.

    `length` is None when it is deferred, and for an upload that is made of others.
    """

    length: int | None
    metadata_header: str
    has_body: bool
    concat: Concat | None = None
    sha256: str | None = None
    checksum: Checksum | None = None
    checksum_follows: bool = False
    key: str | None = None

    @classmethod
    def from_headers(cls, headers: Headers, max_size: int, base_path: str) -> "CreateRequest":
        """Check a creation; raises the UploadError whose status answers it.

        `base_path` is the path under which uploads lie, as `/files/`.
        """
        metadata_header = headers.get("Upload-Metadata") or ""
        metadata = Metadata.from_header(metadata_header)
        concat_header = headers.get("Upload-Concat")
        concat = None if concat_header is None else Concat.from_header(concat_header, base_path)
        has_body = content_length(headers) != 0
        # Only creation-with-upload needs the type; a bare POST may carry none, or any.
        if has_body and not _is_offset_octet_stream(headers):
            raise WrongContentType(
                f"Content-Type of a creation with bytes must be {OFFSET_OCTET_STREAM}."
            )
        if concat is not None and not concat.partial:
            _check_no_length(headers, has_body=has_body)
            length = None
        else:
            length = _length(headers, max_size)
        return cls(
            length,
            metadata_header,
            has_body,
            concat,
            _declared_sha256(headers, metadata),
            _checksum(headers),
            _checksum_follows(headers),
            _key(headers),
        )


@dataclass(frozen=True, slots=True)
class AppendRequest:
    """PATCH /files/<id>: bytes from an offset on.

    `length` is the upload's length, where it is told only now. `checksum_follows` says that the
    checksum comes behind the body, in a trailer.
    """

    offset: int
    length: int | None = None
    checksum: Checksum | None = None
    checksum_follows: bool = False

    @classmethod
    def from_headers(cls, headers: Headers, max_size: int) -> "AppendRequest":
        """Check a PATCH; raises the UploadError whose status answers it.

        "All PATCH requests MUST use Content-Type: application/offset+octet-stream, otherwise the
        server SHOULD return a 415 Unsupported Media Type status."
        """
        if not _is_offset_octet_stream(headers):
            raise WrongContentType(f"Content-Type of a PATCH must be {OFFSET_OCTET_STREAM}.")
        offset = required_number(headers, "Upload-Offset")
        length = None
        if headers.get("Upload-Length") is not None:
            length = _within(required_number(headers, "Upload-Length"), max_size)
        return cls(offset, length, _checksum(headers), _checksum_follows(headers))


def _length(headers: Headers, max_size: int) -> int | None:
    """Upload-Length, or None when it is deferred.

    "The Upload-Defer-Length request and response header indicates that the size of the upload
    is not known currently and will be transferred later. Its value MUST be 1."
    """
    deferred = headers.get("Upload-Defer-Length")
    if deferred is None:
        return _within(required_number(headers, "Upload-Length"), max_size)
    if deferred != "1":
        raise BadHeader("Upload-Defer-Length must be 1.")
    if headers.get("Upload-Length") is not None:
        raise BadHeader("Upload-Length and Upload-Defer-Length exclude each other.")
    return None


def _within(length: int, max_size: int) -> int:
    """The length, if it is allowed.

    "If the length of the upload exceeds the maximum, which MAY be specified using the
    Tus-Max-Size header, the Server MUST respond with the 413 Request Entity Too Large status."
    """
    if length > max_size:
        raise UploadTooLarge(
            f"Upload-Length is {length} bytes; at most {max_size} bytes are allowed."
        )
    return length


def _check_no_length(headers: Headers, *, has_body: bool) -> None:
    """Raise for a length of a final upload.

    "The Client MUST NOT include the Upload-Length header in the final upload creation."
    """
    for name in ("Upload-Length", "Upload-Defer-Length"):
        if headers.get(name) is not None:
            raise BadHeader(f"{name} must not be sent for an upload that is made of others.")
    if has_body:
        raise BadHeader("An upload that is made of others takes no bytes of its own.")


def _checksum(headers: Headers) -> Checksum | None:
    text = headers.get("Upload-Checksum")
    return None if text is None else parse_checksum(text)


def _checksum_follows(headers: Headers) -> bool:
    """Whether a trailer is announced.

    "If the hash cannot be calculated at the beginning of the upload, it MAY be included as a
    trailer."
    """
    names = (headers.get("Trailer") or "").lower().split(",")
    return "upload-checksum" in (name.strip() for name in names)


def trailing_checksum(trailers: Mapping[str, str]) -> Checksum:
    """The checksum behind a body; raises BadHeader when the announced one did not come."""
    text = trailers.get("upload-checksum")
    if text is None:
        raise BadHeader(
            "Trailer announces Upload-Checksum, but none came behind the body; "
            "the body was discarded."
        )
    return parse_checksum(text)


def _declared_sha256(headers: Headers, metadata: Metadata) -> str | None:
    """What the client says that the whole file's SHA-256 is, in hexadecimal."""
    text = metadata.text("sha256")
    if text is not None:
        return parse_declared_sha256(text)
    header = headers.get("Repr-Digest")
    return None if header is None else parse_repr_digest(header)


def _key(headers: Headers) -> str | None:
    """Idempotency-Key: the same creation, sent again, makes no second upload."""
    key = headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise BadHeader("Idempotency-Key must be 1 to 255 printable ASCII characters.")
    return key
