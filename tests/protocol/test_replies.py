"""Answers of tus 1.0."""

from dataclasses import replace

import pytest

from tests.records import START
from tusd_server.errors import (
    OffsetMismatch,
    QuotaExceeded,
    StorageFull,
    UnsupportedVersion,
    UploadNotFound,
)
from tusd_server.info import UploadInfo
from tusd_server.protocol import replies
from tusd_server.protocol.headers import MAX_NUMBER

INFO = UploadInfo(id="a", length=11, offset=7)


def test_options() -> None:
    """tusgo and TUSKit split Tus-Extension at the comma without trimming."""
    headers = replies.options_headers(("creation", "termination"), ("md5", "sha1"), 1000)
    assert headers == {
        "Tus-Version": "1.0.0",
        "Tus-Extension": "creation,termination",
        "Tus-Max-Size": "1000",
    }


def test_options_with_checksums() -> None:
    """Tus-Checksum-Algorithm: the response header MUST be a comma-separated list of algorithms."""
    headers = replies.options_headers(("checksum",), ("md5", "sha1"), 1000)
    assert headers["Tus-Checksum-Algorithm"] == "md5,sha1"


def test_head() -> None:
    assert replies.head_headers(INFO, None) == {
        "Upload-Offset": "7",
        "Upload-Length": "11",
        "Cache-Control": "no-store",
    }


def test_head_with_metadata() -> None:
    info = UploadInfo(id="a", length=11, metadata_header="z AP8=,a")
    assert replies.head_headers(info, None)["Upload-Metadata"] == "z AP8=,a"


def test_head_of_a_deferred_length() -> None:
    """As long as the length of the upload is not known, the Server MUST set
    Upload-Defer-Length: 1 in all responses to HEAD requests."""
    assert replies.head_headers(replace(INFO, length=None), None) == {
        "Upload-Offset": "7",
        "Upload-Defer-Length": "1",
        "Cache-Control": "no-store",
    }


def test_head_of_a_part() -> None:
    """If the Upload-Concat header was included in the request creating the upload, the server
    MUST include it in HEAD."""
    info = replace(INFO, concat="partial", partial=True)
    assert replies.head_headers(info, None) == {
        "Upload-Offset": "7",
        "Upload-Length": "11",
        "Upload-Concat": "partial",
        "Cache-Control": "no-store",
    }


@pytest.mark.parametrize(
    ("length", "offset", "shown"),
    [
        (None, 0, {"Upload-Defer-Length": "1"}),
        (11, 0, {"Upload-Length": "11"}),
        (11, 11, {"Upload-Length": "11", "Upload-Offset": "11"}),
        (0, 0, {"Upload-Length": "0", "Upload-Offset": "0"}),
    ],
)
def test_head_of_what_is_made_of_others(
    length: int | None, offset: int, shown: dict[str, str]
) -> None:
    """The response to a HEAD request for a final upload SHOULD NOT contain the Upload-Offset
    header unless the concatenation has been successfully finished."""
    info = replace(INFO, length=length, offset=offset, concat="final;b c", parts=("b", "c"))
    assert replies.head_headers(info, None) == {
        **shown,
        "Upload-Concat": "final;b c",
        "Cache-Control": "no-store",
    }


def test_expiration() -> None:
    """The value of the Upload-Expires header MUST be in RFC 9110 datetime format."""
    expected = {"Upload-Expires": "Sun, 22 Nov 2026 12:30:05 GMT"}
    assert replies.expires_header(START) == expected
    assert replies.expires_header(None) == {}
    assert replies.offset_headers(INFO, START) == {"Upload-Offset": "7", **expected}
    assert replies.head_headers(INFO, START) == replies.head_headers(INFO, None) | expected


def test_offsets_are_written_plainly() -> None:
    info = UploadInfo(id="a", length=MAX_NUMBER, offset=MAX_NUMBER)
    assert replies.offset_headers(info, None) == {"Upload-Offset": "9223372036854775807"}


def test_errors() -> None:
    assert replies.error_headers(UploadNotFound("No.")) == {"Cache-Control": "no-store"}
    assert replies.error_headers(OffsetMismatch("No.", offset=0))["Upload-Offset"] == "0"
    assert replies.error_headers(StorageFull("No.", offset=7))["Upload-Offset"] == "7"
    assert replies.error_headers(UnsupportedVersion("No."))["Tus-Version"] == "1.0.0"
    quota = QuotaExceeded("No.", retry_after_seconds=60)
    assert replies.error_headers(quota)["Retry-After"] == "60"


def test_every_header_that_an_answer_carries_is_exposed() -> None:
    exposed = {name.strip() for name in replies.EXPOSED_HEADERS.split(",")}
    info = UploadInfo(id="a", length=11, metadata_header="a", concat="partial", partial=True)
    sent = (
        replies.options_headers(("checksum",), ("md5",), 0)
        | replies.head_headers(info, START)
        | replies.head_headers(replace(info, length=None), None)
        | replies.offset_headers(info, None)
        | replies.error_headers(UnsupportedVersion("No.", offset=0))
        | replies.error_headers(QuotaExceeded("No.", retry_after_seconds=60))
    )
    assert len(sent) > 10
    # A page may always read Cache-Control: it is one of CORS's safelisted response headers.
    assert set(sent) - exposed == {"Cache-Control"}
