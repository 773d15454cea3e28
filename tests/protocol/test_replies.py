"""Answers of tus 1.0."""

from tusd_server.errors import OffsetMismatch, UnsupportedVersion, UploadNotFound
from tusd_server.info import UploadInfo
from tusd_server.protocol import replies
from tusd_server.protocol.headers import MAX_NUMBER

INFO = UploadInfo(id="a", length=11, offset=7)


def test_options() -> None:
    """tusgo and TUSKit split Tus-Extension at the comma without trimming."""
    headers = replies.options_headers(("creation", "termination"), 1000)
    assert headers == {
        "Tus-Version": "1.0.0",
        "Tus-Extension": "creation,termination",
        "Tus-Max-Size": "1000",
    }


def test_head() -> None:
    assert replies.head_headers(INFO) == {
        "Upload-Offset": "7",
        "Upload-Length": "11",
        "Cache-Control": "no-store",
    }


def test_head_with_metadata() -> None:
    info = UploadInfo(id="a", length=11, metadata_header="z AP8=,a")
    assert replies.head_headers(info)["Upload-Metadata"] == "z AP8=,a"


def test_offsets_are_written_plainly() -> None:
    info = UploadInfo(id="a", length=MAX_NUMBER, offset=MAX_NUMBER)
    assert replies.offset_headers(info) == {"Upload-Offset": "9223372036854775807"}


def test_errors() -> None:
    assert replies.error_headers(UploadNotFound("No.")) == {"Cache-Control": "no-store"}
    assert replies.error_headers(OffsetMismatch("No.", offset=0))["Upload-Offset"] == "0"
    assert replies.error_headers(UnsupportedVersion("No."))["Tus-Version"] == "1.0.0"


def test_every_header_that_an_answer_carries_is_exposed() -> None:
    exposed = {name.strip() for name in replies.EXPOSED_HEADERS.split(",")}
    info = UploadInfo(id="a", length=11, metadata_header="a")
    sent = (
        replies.options_headers((), 0)
        | replies.head_headers(info)
        | replies.offset_headers(info)
        | replies.error_headers(UnsupportedVersion("No.", offset=0))
    )
    # A page may always read Cache-Control: it is one of CORS's safelisted response headers.
    assert set(sent) - exposed == {"Cache-Control"}
