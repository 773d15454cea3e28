"""The extension checksum-trailer, over a real wire. Sentences are those of tus 1.0.0."""

import base64
import hashlib
import zlib
from collections.abc import Callable

import pytest

from tests.raw import OCTETS, Answer, Client, Field, chunked, jpeg_bytes
from tests.rooms import Tus
from tests.web.test_core import TUS

SIZE = 300_000
ANNOUNCED = ("Trailer", "Upload-Checksum")


def sha1(data: bytes) -> str:
    return "sha1 " + base64.b64encode(hashlib.sha1(data).digest()).decode()


def crc32(data: bytes) -> str:
    return "crc32 " + base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def coded(data: bytes, *trailers: Field) -> bytes:
    """Two chunks and what comes behind them."""
    middle = len(data) // 2
    blocks = [block for block in (data[:middle], data[middle:]) if block]
    end = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    return chunked(*blocks, end=False) + f"0\r\n{end}\r\n".encode("latin-1")


def send(
    client: Client, method: str, path: str, body: bytes, *fields: Field, announced: bool = True
) -> Answer:
    with client.wire() as wire:
        head = client.head(
            method,
            path,
            ("Content-Type", OCTETS),
            ("Transfer-Encoding", "chunked"),
            *([ANNOUNCED] if announced else []),
            *fields,
        )
        wire.send(head + body)
        return wire.answer()


def patch(client: Client, path: str, offset: int, body: bytes, *fields: Field) -> Answer:
    return send(client, "PATCH", path, body, ("Upload-Offset", str(offset)), *fields)


def test_it_is_announced(alice: Tus) -> None:
    """If the Server can handle trailers, this behavior MUST be announced by adding checksum-trailer
    to the Tus-Extension header."""
    announced = alice.talk("OPTIONS /files/", "204").headers["Tus-Extension"]
    assert "checksum-trailer" in announced.split(",")


@pytest.mark.parametrize("proof", [sha1, crc32])
@pytest.mark.parametrize("name", ["Upload-Checksum", "upload-checksum"])
def test_a_checksum_behind_the_body(
    client: Client, name: str, proof: Callable[[bytes], str]
) -> None:
    """If the hash cannot be calculated at the beginning of the upload, it MAY be included as a
    trailer."""
    content = jpeg_bytes(SIZE)
    path = client.create(SIZE)
    answer = patch(client, path, 0, coded(content[:99_999], (name, proof(content[:99_999]))))
    assert (answer.status, answer.offset) == (204, 99_999)
    answer = patch(client, path, 99_999, coded(content[99_999:], (name, proof(content[99_999:]))))
    assert (answer.status, answer.offset) == (204, SIZE)
    assert client.download(path) == content


@pytest.mark.parametrize(
    ("trailers", "status"),
    [
        ([("Upload-Checksum", sha1(b"other"))], 460),
        ([("Upload-Checksum", "sha384 AAAA")], 400),
        ([("Upload-Checksum", "sha1 AAAA")], 400),
        ([], 400),
        ([("Other", "x")], 400),
    ],
)
def test_a_body_that_is_not_vouched_for(client: Client, trailers: list[Field], status: int) -> None:
    """In the first two cases the uploaded chunk MUST be discarded, and the upload and its offset
    MUST NOT be updated."""
    content = jpeg_bytes(SIZE)
    path = client.create(SIZE)
    assert client.patch(path, 0, content[:1000]).status == 204
    answer = patch(client, path, 1000, coded(content[1000:], *trailers))
    assert (answer.status, answer.offset) == (status, 1000)
    assert client.offset(path) == 1000
    answer = patch(
        client, path, 1000, coded(content[1000:], ("Upload-Checksum", sha1(content[1000:])))
    )
    assert answer.status == 204
    assert client.download(path) == content


def test_a_checksum_before_and_one_behind_the_body(client: Client) -> None:
    content = jpeg_bytes(1000)
    path = client.create(1000)
    behind = coded(content, ("Upload-Checksum", crc32(content)))
    before = ("Upload-Checksum", sha1(b"other"))
    assert patch(client, path, 0, behind, before).status == 460
    before = ("Upload-Checksum", sha1(content))
    wrong = coded(content, ("Upload-Checksum", crc32(b"")))
    assert patch(client, path, 0, wrong, before).status == 460
    assert client.offset(path) == 0
    assert patch(client, path, 0, behind, before).status == 204


def test_a_body_with_a_length_has_no_trailer(client: Client) -> None:
    content = jpeg_bytes(1000)
    path = client.create(1000)
    with client.wire() as wire:
        wire.send(client.patch_head(path, 0, 1000, ANNOUNCED) + content)
        answer = wire.answer()
    assert (answer.status, answer.offset) == (400, 0)
    assert "none came behind the body" in answer.text
    assert client.offset(path) == 0


def test_a_break_before_the_trailer(client: Client) -> None:
    content = jpeg_bytes(SIZE)
    path = client.create(SIZE)
    with client.wire() as wire:
        kind, zero = ("Content-Type", OCTETS), ("Upload-Offset", "0")
        framing = ("Transfer-Encoding", "chunked")
        wire.send(client.head("PATCH", path, kind, zero, framing, ANNOUNCED))
        wire.send(chunked(content, end=False))
        wire.half_close()
        answer = wire.answer()
    assert (answer.status, answer.offset) == (400, 0)
    assert client.offset(path) == 0
    assert client.patch(path, 0, content).status == 204


def test_a_creation_with_a_checksum_behind_its_bytes(client: Client) -> None:
    content = jpeg_bytes(SIZE)
    length = ("Upload-Length", str(SIZE))
    good = coded(content, ("Upload-Checksum", sha1(content)))
    answer = send(client, "POST", "/files/", good, length)
    assert (answer.status, answer.offset) == (201, SIZE)


@pytest.mark.parametrize(
    ("proof", "status"), [(sha1(b"other"), 460), ("sha384 AAAA", 400), ("sha1 AAAA", 400)]
)
def test_a_creation_that_is_not_vouched_for_leaves_no_upload(
    client: Client, proof: str, status: int
) -> None:
    before = client.server.files()  # type: ignore[attr-defined]
    bad = coded(jpeg_bytes(SIZE), ("Upload-Checksum", proof))
    answer = send(client, "POST", "/files/", bad, ("Upload-Length", str(SIZE)))
    assert (answer.status, answer.get("location")) == (status, None)
    assert client.server.files() == before  # type: ignore[attr-defined]


def test_the_connection_goes_on_behind_a_trailer(client: Client) -> None:
    content = jpeg_bytes(1000)
    path = client.create(1000)
    kind, framing = ("Content-Type", OCTETS), ("Transfer-Encoding", "chunked")
    with client.wire() as wire:
        for proof, status in ((sha1(b"other"), 460), (sha1(content), 204)):
            fields = (kind, framing, ANNOUNCED, ("Upload-Offset", "0"))
            wire.send(client.head("PATCH", path, *fields))
            wire.send(coded(content, ("Upload-Checksum", proof)))
            assert wire.answer().status == status


@pytest.mark.parametrize("proof", [sha1(b"other"), sha1(jpeg_bytes(1000))])
def test_expect_and_chunks_and_a_trailer(client: Client, proof: str) -> None:
    """All that HTTP/1.1 can do for a body, at once."""
    content = jpeg_bytes(1000)
    path = client.create(1000)
    fields = (
        ("Content-Type", OCTETS),
        ("Transfer-Encoding", "chunked"),
        ANNOUNCED,
        ("Expect", "100-continue"),
        ("Upload-Offset", "0"),
    )
    with client.wire() as wire:
        wire.send(client.head("PATCH", path, *fields))
        assert wire.answer().status == 100
        wire.send(coded(content, ("Upload-Checksum", proof)))
        assert wire.answer().status == (204 if proof == sha1(content) else 460)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("Upload-Offset", "7")], 409),
        ([("Upload-Offset", "0"), ("Upload-Checksum", "sha384 AAAA")], 400),
        ([("Upload-Offset", "0"), ("Upload-Length", "999")], 400),
    ],
)
def test_an_expectation_is_refused_before_the_body(
    client: Client, fields: list[Field], status: int
) -> None:
    path = client.create(1000)
    usual = (("Content-Type", OCTETS), ("Expect", "100-continue"))
    for framing in (("Transfer-Encoding", "chunked"), ("Content-Length", "1000")):
        with client.wire() as wire:
            wire.send(client.head("PATCH", path, *usual, framing, *fields))
            assert wire.answer().status == status


def test_a_portable_server_has_no_trailers(alice: Tus) -> None:
    """What cannot be verified is not acknowledged."""
    upload = alice.create()
    alice.talk(
        f"""
        PATCH /files/{upload}
        {TUS}
        Content-Type: {OCTETS}
        Upload-Offset: 0
        Trailer: Upload-Checksum

        GIF89a-----
        """,
        "400\nUpload-Offset: 0",
    )
    assert alice.offset(upload) == 0
