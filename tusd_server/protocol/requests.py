"""Requests of tus 1.0, checked and frozen."""

from dataclasses import dataclass

from tusd_server.errors import (
    BadHeader,
    UnsupportedVersion,
    UploadTooLarge,
    WrongContentType,
)
from tusd_server.metadata import Metadata
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
    """POST /files/: make an upload, perhaps with its first bytes."""

    length: int
    metadata_header: str
    has_body: bool

    @classmethod
    def from_headers(cls, headers: Headers, max_size: int) -> "CreateRequest":
        """Check a creation; raises the UploadError whose status answers it.

        "If the length of the upload exceeds the maximum, which MAY be specified using the
        Tus-Max-Size header, the Server MUST respond with the 413 status."
        """
        if headers.get("Upload-Defer-Length") is not None:
            raise BadHeader("Upload-Defer-Length is not supported; send Upload-Length.")
        if headers.get("Upload-Concat") is not None:
            raise BadHeader("Upload-Concat is not supported; send the file as one upload.")
        length = required_number(headers, "Upload-Length")
        if length > max_size:
            raise UploadTooLarge(
                f"Upload-Length is {length} bytes; at most {max_size} bytes are allowed."
            )
        metadata_header = headers.get("Upload-Metadata") or ""
        Metadata.from_header(metadata_header)
        has_body = content_length(headers) != 0
        # Only creation-with-upload needs the type; a bare POST may carry none, or any.
        if has_body and not _is_offset_octet_stream(headers):
            raise WrongContentType(
                f"Content-Type of a creation with bytes must be {OFFSET_OCTET_STREAM}."
            )
        return cls(length, metadata_header, has_body)


@dataclass(frozen=True, slots=True)
class AppendRequest:
    """PATCH /files/<id>: bytes from an offset on."""

    offset: int

    @classmethod
    def from_headers(cls, headers: Headers) -> "AppendRequest":
        """Check a PATCH; raises the UploadError whose status answers it.

        "All PATCH requests MUST use Content-Type: application/offset+octet-stream, otherwise the
        server SHOULD return a 415 Unsupported Media Type status."
        """
        if not _is_offset_octet_stream(headers):
            raise WrongContentType(f"Content-Type of a PATCH must be {OFFSET_OCTET_STREAM}.")
        if headers.get("Upload-Length") is not None:
            raise BadHeader(
                "Upload-Length is known since the creation; a PATCH must not send it again."
            )
        return cls(required_number(headers, "Upload-Offset"))
