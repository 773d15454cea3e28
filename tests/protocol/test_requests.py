"""Requests of tus 1.0: which are taken, and how the others are refused."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rooms import OCTETS, metadata
from tusd_server.errors import (
    BadHeader,
    UnknownChecksum,
    UnsupportedVersion,
    UploadError,
    UploadTooLarge,
    WrongContentType,
)
from tusd_server.hashing import Checksum
from tusd_server.protocol.concat import Concat
from tusd_server.protocol.requests import (
    AppendRequest,
    CreateRequest,
    check_version,
    content_length,
    trailing_checksum,
)

MAX = 1000
BASE = "/files/"
# CRC-32 of "hello world".
CRC32 = Checksum("crc32", bytes.fromhex("0d4a1185"))
CRC32_HEADER = "crc32 DUoRhQ=="
SHA256 = bytes(range(32))
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
    "Repr-Digest",
    "Idempotency-Key",
    "Trailer",
    "Content-Type",
    "Content-Length",
    "Transfer-Encoding",
]
WORDS = ["1.0.0", "0", "7", "11", "-1", "a YQ==", "a YQ==,b", "sha1 AAAA", "partial", OCTETS, "1"]
WORDS += ["final;a b", "final;", CRC32_HEADER, "sha-256=:AAAA:", "sha256 YQ==", "upload-checksum"]


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def create_request(headers: dict[str, str]) -> CreateRequest:
    return CreateRequest.from_headers(headers, MAX, BASE)


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
        ({"Upload-Defer-Length": "1"}, CreateRequest(None, "", False)),
        ({"Upload-Defer-Length": "1", **BODY}, CreateRequest(None, "", True)),
        (
            {**LENGTH, "Upload-Concat": "partial"},
            CreateRequest(11, "", False, concat=Concat("partial")),
        ),
        (
            {"Upload-Defer-Length": "1", "Upload-Concat": "partial"},
            CreateRequest(None, "", False, concat=Concat("partial")),
        ),
        (
            {"Upload-Concat": "final;/files/a b"},
            CreateRequest(None, "", False, concat=Concat("final;/files/a b", ("a", "b"))),
        ),
        (
            {**LENGTH, **BODY, "Upload-Checksum": CRC32_HEADER},
            CreateRequest(11, "", True, checksum=CRC32),
        ),
        (
            {**LENGTH, **BODY, "Trailer": "X-Other , upload-checksum"},
            CreateRequest(11, "", True, checksum_follows=True),
        ),
        (
            {**LENGTH, "Repr-Digest": f"sha-256=:{b64(SHA256)}:"},
            CreateRequest(11, "", False, sha256=SHA256.hex()),
        ),
        ({**LENGTH, "Repr-Digest": "sha-512=:AAAA:"}, CreateRequest(11, "", False)),
        ({**LENGTH, "Idempotency-Key": "a key"}, CreateRequest(11, "", False, key="a key")),
        ({**LENGTH, "Idempotency-Key": "k" * 255}, CreateRequest(11, "", False, key="k" * 255)),
    ],
)
def test_creations(headers: dict[str, str], expected: CreateRequest) -> None:
    assert create_request(headers) == expected


@pytest.mark.parametrize("digits", ["0f" * 32, "0F" * 32])
def test_a_digest_may_be_told_as_metadata(digits: str) -> None:
    header = metadata(sha256=digits)
    wanted = create_request({**LENGTH, "Upload-Metadata": header})
    assert (wanted.sha256, wanted.metadata_header) == ("0f" * 32, header)


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
        ({"Upload-Defer-Length": "0"}, BadHeader, "Upload-Defer-Length must be 1"),
        ({"Upload-Defer-Length": ""}, BadHeader, "Upload-Defer-Length must be 1"),
        ({"Upload-Defer-Length": "11"}, BadHeader, "Upload-Defer-Length must be 1"),
        ({**LENGTH, "Upload-Defer-Length": "1"}, BadHeader, "exclude each other"),
        ({"Upload-Concat": "partial"}, BadHeader, "Upload-Length is missing"),
        ({**LENGTH, "Upload-Concat": "Partial"}, BadHeader, "Upload-Concat must be `partial`"),
        ({**LENGTH, "Upload-Concat": "final;a"}, BadHeader, "Upload-Length must not be sent"),
        (
            {"Upload-Defer-Length": "1", "Upload-Concat": "final;a"},
            BadHeader,
            "Upload-Defer-Length must not be sent",
        ),
        ({**BODY, "Upload-Concat": "final;a"}, BadHeader, "takes no bytes of its own"),
        ({**LENGTH, "Upload-Checksum": "crc64 AAAA"}, UnknownChecksum, "not offered"),
        ({**LENGTH, "Upload-Checksum": "crc32 AAAA"}, BadHeader, "has 3 bytes; crc32 has 4"),
        ({**LENGTH, "Upload-Metadata": "sha256 YQ=="}, BadHeader, "must be 64 hexadecimal digits"),
        ({**LENGTH, "Repr-Digest": "sha-256=:AAAA:"}, BadHeader, "sha-256 has 32"),
        ({**LENGTH, "Idempotency-Key": ""}, BadHeader, "Idempotency-Key must be 1 to 255"),
        ({**LENGTH, "Idempotency-Key": "k" * 256}, BadHeader, "Idempotency-Key must be 1 to 255"),
        ({**LENGTH, "Idempotency-Key": "a\nb"}, BadHeader, "Idempotency-Key must be 1 to 255"),
        ({**LENGTH, "Idempotency-Key": "é"}, BadHeader, "Idempotency-Key must be 1 to 255"),
    ],
)
def test_creations_that_are_refused(
    headers: dict[str, str], error: type[UploadError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        create_request(headers)


@pytest.mark.parametrize("content_type", [OCTETS, f"{OCTETS}; a=b", f" {OCTETS.upper()} ;"])
def test_appends(content_type: str) -> None:
    headers = {"Upload-Offset": "7", "Content-Type": content_type}
    assert AppendRequest.from_headers(headers, MAX) == AppendRequest(7)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Upload-Length": "11"}, AppendRequest(7, 11)),
        ({"Upload-Length": "1000"}, AppendRequest(7, 1000)),
        ({"Upload-Checksum": CRC32_HEADER}, AppendRequest(7, checksum=CRC32)),
        ({"Trailer": "Upload-Checksum"}, AppendRequest(7, checksum_follows=True)),
        ({"Trailer": "Upload-Checksum-Too"}, AppendRequest(7)),
    ],
)
def test_appends_with_more(headers: dict[str, str], expected: AppendRequest) -> None:
    assert AppendRequest.from_headers({**OFFSET, **headers}, MAX) == expected


@pytest.mark.parametrize(
    ("headers", "error", "sentence"),
    [
        ({}, WrongContentType, "Content-Type of a PATCH must be"),
        ({**OFFSET, "Content-Type": "application/octet-stream"}, WrongContentType, "must be"),
        ({**OFFSET, "Content-Type": f"x;{OCTETS}"}, WrongContentType, "must be"),
        ({"Content-Type": OCTETS}, BadHeader, "Upload-Offset is missing"),
        ({**OFFSET, "Upload-Offset": "+7"}, BadHeader, r"Upload-Offset is '\+7'"),
        ({**OFFSET, "Upload-Length": "-1"}, BadHeader, "Upload-Length is '-1'"),
        ({**OFFSET, "Upload-Length": "1001"}, UploadTooLarge, "at most 1000 bytes are allowed"),
        ({**OFFSET, "Upload-Checksum": ""}, UnknownChecksum, "use one of md5, sha1, sha256"),
        ({**OFFSET, "Upload-Checksum": "sha1 ~"}, BadHeader, "that is not base64"),
    ],
)
def test_appends_that_are_refused(
    headers: dict[str, str], error: type[UploadError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        AppendRequest.from_headers(headers, MAX)


def test_a_checksum_behind_the_body() -> None:
    assert trailing_checksum({"upload-checksum": CRC32_HEADER}) == CRC32
    with pytest.raises(BadHeader, match="but none came behind the body"):
        trailing_checksum({})
    with pytest.raises(UnknownChecksum):
        trailing_checksum({"upload-checksum": "crc64 AAAA"})


def test_metadata_is_kept_as_it_was_sent() -> None:
    header = metadata(z=b"\x00\xff", a="text", none=None)
    wanted = create_request({**LENGTH, "Upload-Metadata": header})
    assert wanted.metadata_header == header


texts = st.one_of(st.sampled_from(WORDS), st.text(st.characters(max_codepoint=255)))


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), texts))
def test_whatever_comes_is_read_or_refused(headers: dict[str, str]) -> None:
    """Nothing but an UploadError leaves a parser, and its sentence is fit for an answer."""
    for read in (
        lambda: check_version(headers),
        lambda: content_length(headers),
        lambda: create_request(headers),
        lambda: AppendRequest.from_headers(headers, MAX),
        lambda: trailing_checksum({"upload-checksum": headers.get("Upload-Checksum", "")}),
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
