"""Requests of tus 1.0: which are taken, and how the others are refused."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rooms import OCTETS, metadata
from tusd_server.errors import (
    BadHeader,
    UnsupportedVersion,
    UploadError,
    UploadTooLarge,
    WrongContentType,
)
from tusd_server.protocol.requests import (
    AppendRequest,
    CreateRequest,
    check_version,
    content_length,
)

MAX = 1000
LENGTH = {"Upload-Length": "11"}
BODY = {"Content-Length": "5", "Content-Type": OCTETS}
OFFSET = {"Upload-Offset": "7", "Content-Type": OCTETS}

NAMES = [
    "Tus-Resumable",
    "Upload-Length",
    "Upload-Offset",
    "Upload-Metadata",
    "Upload-Defer-Length",
    "Upload-Concat",
    "Upload-Checksum",
    "Content-Type",
    "Content-Length",
    "Transfer-Encoding",
]
WORDS = ["1.0.0", "0", "7", "11", "-1", "a YQ==", "a YQ==,b", "sha1 AAAA", "partial", OCTETS, "1"]


@pytest.mark.parametrize("version", [None, "", "1.0", "1.0.0 ", "1.0.1", "0.2.2", "1.0.0, 1.0.0"])
def test_other_versions(version: str | None) -> None:
    with pytest.raises(UnsupportedVersion, match=r"Tus-Resumable .* this server speaks 1\.0\.0\."):
        check_version({} if version is None else {"Tus-Resumable": version})


def test_our_version() -> None:
    check_version({"Tus-Resumable": "1.0.0"})


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 0),
        ({"Content-Length": ""}, 0),
        ({"Content-Length": "0"}, 0),
        ({"Content-Length": "12"}, 12),
        ({"Transfer-Encoding": "chunked"}, None),
        ({"Transfer-Encoding": "chunked", "Content-Length": "12"}, None),
    ],
)
def test_the_length_of_a_body(headers: dict[str, str], expected: int | None) -> None:
    assert content_length(headers) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (LENGTH, CreateRequest(11, "", False)),
        ({"Upload-Length": "0"}, CreateRequest(0, "", False)),
        ({"Upload-Length": "1000"}, CreateRequest(1000, "", False)),
        ({**LENGTH, "Content-Type": "text/plain"}, CreateRequest(11, "", False)),
        ({**LENGTH, "Content-Length": "0"}, CreateRequest(11, "", False)),
        ({**LENGTH, **BODY}, CreateRequest(11, "", True)),
        (
            {**LENGTH, "Transfer-Encoding": "chunked", "Content-Type": OCTETS},
            CreateRequest(11, "", True),
        ),
        ({**LENGTH, "Upload-Metadata": ""}, CreateRequest(11, "", False)),
        ({**LENGTH, "Upload-Metadata": "b YQ==,a"}, CreateRequest(11, "b YQ==,a", False)),
    ],
)
def test_creations(headers: dict[str, str], expected: CreateRequest) -> None:
    assert CreateRequest.from_headers(headers, MAX) == expected


@pytest.mark.parametrize(
    ("headers", "error", "sentence"),
    [
        ({}, BadHeader, "Upload-Length is missing"),
        ({"Upload-Length": "-1"}, BadHeader, "Upload-Length is '-1'"),
        ({"Upload-Length": "1001"}, UploadTooLarge, "at most 1000 bytes are allowed"),
        ({"Upload-Length": str(2**63)}, BadHeader, "below 2"),
        ({**LENGTH, "Upload-Metadata": "a YQ"}, BadHeader, "Upload-Metadata has a value for 'a'"),
        ({**LENGTH, "Upload-Metadata": "a,a"}, BadHeader, "Upload-Metadata repeats a key"),
        ({**LENGTH, "Content-Length": "x"}, BadHeader, "Content-Length is 'x'"),
        ({**LENGTH, "Content-Length": "5"}, WrongContentType, "must be application/offset"),
        ({**LENGTH, **BODY, "Content-Type": "text/plain"}, WrongContentType, "must be applic"),
        ({**LENGTH, "Transfer-Encoding": "chunked"}, WrongContentType, "must be application"),
    ],
)
def test_creations_that_are_refused(
    headers: dict[str, str], error: type[UploadError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        CreateRequest.from_headers(headers, MAX)


@pytest.mark.parametrize("content_type", [OCTETS, f"{OCTETS}; a=b", f" {OCTETS.upper()} ;"])
def test_appends(content_type: str) -> None:
    headers = {"Upload-Offset": "7", "Content-Type": content_type}
    assert AppendRequest.from_headers(headers) == AppendRequest(7)


@pytest.mark.parametrize(
    ("headers", "error", "sentence"),
    [
        ({}, WrongContentType, "Content-Type of a PATCH must be"),
        ({**OFFSET, "Content-Type": "application/octet-stream"}, WrongContentType, "must be"),
        ({**OFFSET, "Content-Type": f"x;{OCTETS}"}, WrongContentType, "must be"),
        ({"Content-Type": OCTETS}, BadHeader, "Upload-Offset is missing"),
        ({**OFFSET, "Upload-Offset": "+7"}, BadHeader, r"Upload-Offset is '\+7'"),
        ({**OFFSET, "Upload-Length": "11"}, BadHeader, "must not send it again"),
    ],
)
def test_appends_that_are_refused(
    headers: dict[str, str], error: type[UploadError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        AppendRequest.from_headers(headers)


def test_metadata_is_kept_as_it_was_sent() -> None:
    header = metadata(z=b"\x00\xff", a="text", none=None)
    wanted = CreateRequest.from_headers({**LENGTH, "Upload-Metadata": header}, MAX)
    assert wanted.metadata_header == header


texts = st.one_of(st.sampled_from(WORDS), st.text(st.characters(max_codepoint=255)))


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), texts))
def test_whatever_comes_is_read_or_refused(headers: dict[str, str]) -> None:
    """Nothing but an UploadError leaves a parser, and its sentence is fit for an answer."""
    for read in (
        lambda: check_version(headers),
        lambda: content_length(headers),
        lambda: CreateRequest.from_headers(headers, MAX),
        lambda: AppendRequest.from_headers(headers),
    ):
        sentence = sentence_of(read)
        assert sentence.endswith(".")
        assert sentence.isascii()
        assert sentence.isprintable()
        assert len(sentence) < 400


def sentence_of(read: Callable[[], object]) -> str:
    """What a client is told when this is refused; a full stop when it is not."""
    try:
        read()
    except UploadError as error:
        return error.message
    return "."
