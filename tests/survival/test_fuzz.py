"""Whatever comes over the wire, the parsers answer with a value or with an error of ours."""

import base64
import io
import socket
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.live import Live
from tests.survival.hostile import SETTINGS, assault
from tusd_server.errors import UploadError
from tusd_server.metadata import Metadata
from tusd_server.protocol.checksum import parse_checksum, parse_declared_sha256, parse_repr_digest
from tusd_server.protocol.concat import Concat
from tusd_server.protocol.headers import MAX_NUMBER, number
from tusd_server.protocol.requests import AppendRequest, CreateRequest, trailing_checksum
from tusd_server.server.body import RequestBody
from tusd_server.server.reading import (
    BadRequestHead,
    parse_field_line,
    parse_request_line,
    read_headers,
)
from tusd_server.uploads.body import Ending

MAX_SIZE = 10_000
REQUESTS = 3_000

fuzzed = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)

TOKEN = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=12)
# What is nearly right finds more than what is merely random.
BASE64 = st.one_of(
    st.binary(max_size=70).map(lambda data: base64.b64encode(data).decode()),
    st.text(string.ascii_letters + "+/=-_ ", max_size=30),
)
ALGORITHM = st.sampled_from(["md5", "sha1", "sha256", "sha512", "crc32", "SHA1", "", "x"])
CHECKSUM = st.one_of(st.text(max_size=40), st.tuples(ALGORITHM, BASE64).map(" ".join))
METADATA = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.tuples(st.one_of(TOKEN, st.text(max_size=5)), BASE64).map(" ".join), max_size=5
    ).map(",".join),
)
CONCAT = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.one_of(
            TOKEN.map("/files/".__add__), st.text(max_size=20), TOKEN.map("http://h/files/".__add__)
        ),
        max_size=5,
    ).map(lambda urls: "final;" + " ".join(urls)),
)
NUMBER = st.one_of(
    st.text(string.digits + "+-_ .eExX٣", max_size=25), st.integers().map(str), st.text(max_size=10)
)
DIGEST = st.one_of(
    st.text(max_size=60),
    BASE64.map(lambda text: f"sha-256=:{text}:"),
    st.tuples(BASE64, BASE64).map(lambda two: f"md5=:{two[0]}:, sha-256=:{two[1]}:;x=1"),
)
LINE = st.one_of(
    st.binary(max_size=80),
    st.tuples(TOKEN, st.binary(max_size=30)).map(
        lambda it: it[0].encode() + b": " + it[1] + b"\r\n"
    ),
)


@given(NUMBER)
@fuzzed
def test_number(text: str) -> None:
    try:
        value = number("Upload-Offset", text)
    except UploadError:
        return
    assert 0 <= value <= MAX_NUMBER
    assert text.isascii()
    assert text.isdigit()


@given(METADATA)
@fuzzed
def test_metadata(header: str) -> None:
    try:
        metadata = Metadata.from_header(header)
    except UploadError:
        return
    assert Metadata.from_header(metadata.to_header()) == metadata
    metadata.to_text()
    assert metadata.to_header().isascii()


@given(CHECKSUM)
@fuzzed
def test_checksum(text: str) -> None:
    try:
        checksum = parse_checksum(text)
    except UploadError:
        return
    assert len(checksum.digest) == len(checksum.start().digest())


@given(DIGEST)
@fuzzed
def test_repr_digest(text: str) -> None:
    try:
        digest = parse_repr_digest(text)
    except UploadError:
        return
    assert digest is None or parse_declared_sha256(digest) == digest


@given(st.text(max_size=70))
@fuzzed
def test_declared_sha256(text: str) -> None:
    try:
        assert len(parse_declared_sha256(text)) == 64
    except UploadError:
        return


@given(CONCAT)
@fuzzed
def test_concat(text: str) -> None:
    try:
        concat = Concat.from_header(text, "/files/")
    except UploadError:
        return
    assert concat.partial or all(part.isascii() and "/" not in part for part in concat.parts)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "Content-Type": st.sampled_from(["application/offset+octet-stream", "text/plain", ";"]),
            "Content-Length": NUMBER,
            "Upload-Length": NUMBER,
            "Upload-Offset": NUMBER,
            "Upload-Defer-Length": NUMBER,
            "Upload-Metadata": METADATA,
            "Upload-Checksum": CHECKSUM,
            "Upload-Concat": CONCAT,
            "Repr-Digest": DIGEST,
            "Idempotency-Key": st.text(max_size=300),
            "Trailer": st.text(max_size=30),
            "Transfer-Encoding": st.just("chunked"),
        },
    )
)
@fuzzed
def test_requests(headers: dict[str, str]) -> None:
    for read in (
        lambda: CreateRequest.from_headers(headers, MAX_SIZE, "/files/"),
        lambda: AppendRequest.from_headers(headers, MAX_SIZE),
        lambda: trailing_checksum({name.lower(): text for name, text in headers.items()}),
    ):
        try:
            length = getattr(read(), "length", None)
        except UploadError:
            continue
        assert length is None or 0 <= length <= MAX_SIZE


@given(
    st.one_of(
        st.binary(max_size=100),
        st.tuples(TOKEN, st.text(max_size=30)).map(
            lambda it: f"{it[0]} /{it[1]} HTTP/1.1\r\n".encode()
        ),
    )
)
@fuzzed
def test_request_line(line: bytes) -> None:
    try:
        method, target, version = parse_request_line(line)
    except BadRequestHead:
        return
    assert line.rstrip(b"\r\n") == f"{method} {target} {version}".encode()


@given(st.lists(LINE, max_size=8), st.sampled_from(["HTTP/1.0", "HTTP/1.1"]), st.booleans())
@fuzzed
def test_headers(lines: list[bytes], version: str, ended: bool) -> None:
    head = b"Host: here\r\n" + b"".join(lines) + (b"\r\n" if ended else b"")
    try:
        headers = read_headers(io.BytesIO(head), version)
    except (BadRequestHead, EOFError):
        return
    assert not (headers.chunked and headers.content_length is not None)
    for name, value in headers.fields:
        assert parse_field_line(f"{name}: {value}\r\n".encode("latin-1")) == (name, value)


def coded(blocks: list[bytes], mark: bytes) -> bytes:
    return (
        b"".join(b"%x%s\r\n%s\r\n" % (len(block), mark, block) for block in blocks) + b"0\r\n\r\n"
    )


class Pair:
    """Both ends of a connection, and a body at the server's."""

    def __init__(self, sent: bytes, *, length: int | None) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.settimeout(5)
        self.theirs.sendall(sent)
        self.theirs.shutdown(socket.SHUT_WR)
        self.file = self.ours.makefile("rb", 4096)
        self.body = RequestBody(
            self.file, self.ours, length=length, chunked=length is None, expects_continue=False
        )

    def __enter__(self) -> RequestBody:
        return self.body

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.ours.close()
        self.theirs.close()


@given(
    st.lists(st.binary(min_size=1, max_size=9000), max_size=4),
    st.sampled_from([b"", b" ", b";x", b";x=y"]),
    st.integers(0, 30_000),
)
@fuzzed
def test_chunks_are_decoded(blocks: list[bytes], mark: bytes, limit: int) -> None:
    content = b"".join(blocks)
    with Pair(coded(blocks, mark), length=None) as body:
        received = b"".join(bytes(view) for view in body.chunks(limit))
        assert received == content[:limit]
        assert body.ending is (Ending.OVERRUN if len(content) > limit else Ending.COMPLETE)


@given(
    st.lists(st.binary(min_size=1, max_size=60), max_size=4),
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 3), st.binary(max_size=4)),
        min_size=1,
        max_size=3,
    ),
    st.integers(0, 300),
)
@fuzzed
def test_damaged_chunks_end_somehow(
    blocks: list[bytes], damages: list[tuple[int, int, bytes]], limit: int
) -> None:
    wire = bytearray(coded(blocks, b""))
    for at, width, instead in damages:
        wire[at : at + width] = instead
    with Pair(bytes(wire), length=None) as body:
        received = sum(len(view) for view in body.chunks(limit))
        assert received <= limit
        assert body.ending is not None or received == limit
        assert body.ending is not Ending.TIMED_OUT


@given(st.binary(max_size=300), st.integers(1, 400), st.integers(0, 400))
@fuzzed
def test_plain_bodies(sent: bytes, length: int, limit: int) -> None:
    with Pair(sent, length=length) as body:
        received = b"".join(bytes(view) for view in body.chunks(limit))
    assert received == sent[: min(length, limit)]
    if len(received) < min(length, limit):
        assert body.ending is Ending.DISCONNECTED


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with Live(tmp_path / "data", **SETTINGS) as server:
        yield server


@pytest.mark.slow
def test_hostile_requests(live: Live) -> None:
    seen = assault(live, requests=REQUESTS, seed=3)
    report = "\n".join(seen.lines())
    assert not seen.broken, report
    assert seen.requests >= REQUESTS
    assert {200, 201, 204, 400, 401, 404, 405, 409, 412, 413, 415, 431} <= set(seen.statuses), (
        report
    )
