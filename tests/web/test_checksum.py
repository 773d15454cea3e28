"""The checksum extension. Sentences are those of tus 1.0.0."""

import base64
import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rooms import GIF, OCTETS, Cut, Tus, Untouched, metadata, upload_id
from tests.web.test_core import TUS
from tusd_server.hashing import ALGORITHMS

DIGEST: dict[str, Callable[[bytes], bytes]] = {
    "md5": lambda data: hashlib.md5(data).digest(),
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "sha512": lambda data: hashlib.sha512(data).digest(),
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
}


def checksum(data: bytes, algorithm: str = "sha1") -> str:
    return f"{algorithm} {base64.b64encode(DIGEST[algorithm](data)).decode()}"


def patch(upload: str, offset: int, proof: str, *more: str) -> str:
    lines = (
        f"PATCH /files/{upload}",
        TUS,
        f"Content-Type: {OCTETS}",
        f"Upload-Offset: {offset}",
        f"Upload-Checksum: {proof}",
        *more,
    )
    return "\n".join(lines)


def post(proof: str, length: int = len(GIF)) -> str:
    lines = (
        "POST /files/",
        TUS,
        f"Content-Type: {OCTETS}",
        f"Upload-Length: {length}",
        f"Upload-Checksum: {proof}",
    )
    return "\n".join(lines)


def notes(tmp_path: Path) -> list[str]:
    """The uploads of which bytes are not verified."""
    return [path.name for path in (tmp_path / "data/.tusd-server/unverified").iterdir()]


def uploads(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "data").iterdir() if path.name[0] != "."]


def test_the_server_tells_its_algorithms(tus: Tus) -> None:
    """If supported, the Server MUST add checksum to the Tus-Extension header. The
    Tus-Checksum-Algorithm header MUST be included in the response to an OPTIONS request. It MUST be
    a comma-separated list of the checksum algorithms supported by the server."""
    response = tus.talk(
        "OPTIONS /files/", "204\nTus-Checksum-Algorithm: md5,sha1,sha256,sha512,crc32"
    )
    assert "checksum" in response.headers["Tus-Extension"].split(",")
    assert set(ALGORITHMS) == set(DIGEST)


@pytest.mark.parametrize("algorithm", DIGEST)
def test_a_chunk_that_arrived_whole(tus: Tus, algorithm: str) -> None:
    """204 No Content if the checksums match and the processing of the data succeeded. The Server
    MUST support at least the SHA1 checksum algorithm identified by sha1."""
    upload = tus.create()
    tus.talk(
        patch(upload, 0, checksum(b"GIF89a", algorithm)),
        "204\nUpload-Offset: 6\nUpload-Media-Id: (absent)",
        body=b"GIF89a",
    )
    tus.talk(
        patch(upload, 6, checksum(b"-----", algorithm)),
        "204\nUpload-Offset: 11\nUpload-Media-Id: (anything)",
        body=b"-----",
    )


@pytest.mark.parametrize("algorithm", DIGEST)
def test_a_chunk_that_was_damaged(tus: Tus, algorithm: str) -> None:
    """460 Checksum Mismatch if the checksums mismatch. The uploaded chunk MUST be discarded, and
    the upload and its offset MUST NOT be updated."""
    upload = tus.create()
    tus.append(upload, 0, b"GIF89a")
    tus.talk(
        patch(upload, 6, checksum(b"-----", algorithm)),
        f"""
        460 Checksum Mismatch
        {TUS}
        Upload-Offset: 6

        The body does not have the {algorithm} checksum of Upload-Checksum; it was discarded, send \
it again.
        """,
        body=b"--!--",
    )
    tus.talk(f"HEAD /files/{upload}\n{TUS}", "200\nUpload-Offset: 6\nUpload-Media-Id: (absent)")
    tus.talk(patch(upload, 6, checksum(b"-----", algorithm)), "204", body=b"-----")


def test_what_is_kept_is_what_was_verified(alice: Tus, tmp_path: Path) -> None:
    upload = alice.create()
    alice.talk(patch(upload, 0, checksum(b"GIF89a")), "460", body=b"XXXXXX")
    assert (tmp_path / "data" / upload).read_bytes() == b""
    alice.talk(patch(upload, 0, checksum(b"GIF89a")), "204", body=b"GIF89a")
    alice.talk(patch(upload, 6, checksum(b"-----")), "460", body=b"XXXXX")
    assert (tmp_path / "data" / upload).read_bytes() == b"GIF89a"
    alice.talk(patch(upload, 6, checksum(b"-----")), "204", body=b"-----")
    assert alice.get(f"/files/{upload}").data == GIF
    assert notes(tmp_path) == []


@pytest.mark.parametrize("name", ["sha384", "SHA1", "crc64"])
def test_an_algorithm_that_is_not_offered(tus: Tus, name: str) -> None:
    """400 Bad Request if the checksum algorithm is not supported by the server. The upload and its
    offset MUST NOT be updated."""
    upload = tus.create()
    body = Untouched()
    tus.talk(
        patch(upload, 0, f"{name} Kq5sNclPz7QV2+lfQIuc6R7oRu0="),
        "400\n\nUpload-Checksum names an algorithm that is not offered; "
        "use one of md5, sha1, sha256, sha512, crc32.",
        wsgi_input=body,
        CONTENT_LENGTH="11",
    )
    assert body.read_calls == 0
    assert tus.offset(upload) == 0


@pytest.mark.parametrize("text", ["sha1", "sha1 ", "sha1 !", "sha1 AAAA", "sha1  Kq5sNclPz7Q="])
def test_a_checksum_that_is_none(tus: Tus, text: str) -> None:
    """The header MUST consist of the name of the used checksum algorithm and the Base64 encoded
    checksum separated by a space."""
    upload = tus.create()
    body = Untouched()
    tus.talk(patch(upload, 0, text), "400", wsgi_input=body, CONTENT_LENGTH="11")
    assert body.read_calls == 0
    assert tus.offset(upload) == 0


@pytest.mark.parametrize(
    ("error", "status"), [(None, 400), (ConnectionResetError(), 400), (TimeoutError(), 503)]
)
def test_a_break_within_a_chunk(
    alice: Tus, tmp_path: Path, error: Exception | None, status: int
) -> None:
    """Once the entire request has been received, the Server MUST verify the uploaded chunk: what
    did not come whole cannot be verified, and is not acknowledged."""
    upload = alice.create()
    alice.append(upload, 0, b"GIF89a")
    alice.talk(
        patch(upload, 6, checksum(b"-----")),
        f"{status}\nUpload-Offset: 6",
        wsgi_input=Cut(b"---", error),
        CONTENT_LENGTH="5",
    )
    assert alice.offset(upload) == 6
    assert (tmp_path / "data" / upload).read_bytes() == b"GIF89a"
    assert notes(tmp_path) == []


def test_a_chunk_at_the_wrong_offset_is_not_looked_at(tus: Tus) -> None:
    upload = tus.create()
    body = Untouched()
    tus.talk(
        patch(upload, 3, checksum(b"GIF89a")),
        "409\nUpload-Offset: 0",
        wsgi_input=body,
        CONTENT_LENGTH="6",
    )
    assert body.read_calls == 0


def test_a_chunk_beyond_the_length(tus: Tus) -> None:
    upload = tus.create()
    tus.talk(
        patch(upload, 0, checksum(GIF + b"!")),
        "413\nUpload-Offset: 0",
        wsgi_input=Cut(GIF + b"!"),
        HTTP_TRANSFER_ENCODING="chunked",
    )
    assert tus.offset(upload) == 0


def test_a_chunk_of_nothing(tus: Tus) -> None:
    upload = tus.create()
    tus.talk(patch(upload, 0, checksum(b"")), "204\nUpload-Offset: 0")
    tus.talk(patch(upload, 0, checksum(b"x")), "460\nUpload-Offset: 0")


def test_damage_is_no_reason_to_refuse_a_file_for_good(tus: Tus) -> None:
    """The content is judged when the checksum holds, not before."""
    whole = GIF + bytes(9000)
    upload = tus.create(len(whole))
    tus.talk(patch(upload, 0, checksum(whole[:5000])), "460", body=b"text, " * 1000)
    tus.talk(patch(upload, 0, checksum(whole[:5000])), "204", body=whole[:5000])
    tus.talk(patch(upload, 5000, checksum(whole[5000:])), "204", body=whole[5000:])
    assert tus.offset(upload) == len(whole)


@pytest.mark.parametrize("length", [11, 9000])
def test_a_verified_text_is_refused_all_the_same(tus: Tus, length: int) -> None:
    text = b"hello world" * (length // 11) + b"!" * (length % 11)
    upload = tus.create(length)
    tus.talk(patch(upload, 0, checksum(text)), "415\nUpload-Offset: (absent)", body=text)
    tus.talk(f"HEAD /files/{upload}\n{TUS}", "415\nUpload-Offset: (absent)")


def test_a_length_that_came_with_a_damaged_chunk(tus: Tus) -> None:
    """The uploaded chunk MUST be discarded, and the upload and its offset MUST NOT be updated."""
    upload = upload_id(tus.talk(f"POST /files/\n{TUS}\nUpload-Defer-Length: 1", "201"))
    tus.talk(patch(upload, 0, checksum(GIF), "Upload-Length: 12"), "460", body=b"x" * 12)
    tus.talk(
        f"HEAD /files/{upload}\n{TUS}",
        "200\nUpload-Offset: 0\nUpload-Length: (absent)\nUpload-Defer-Length: 1",
    )
    tus.talk(patch(upload, 0, checksum(GIF), "Upload-Length: 11"), "204", body=GIF)
    tus.talk(
        f"HEAD /files/{upload}\n{TUS}",
        "200\nUpload-Offset: 11\nUpload-Length: 11\nUpload-Defer-Length: (absent)",
    )


def test_a_creation_with_a_checksum(tus: Tus) -> None:
    response = tus.talk(post(checksum(GIF)), "201\nUpload-Offset: 11", body=GIF)
    assert tus.offset(upload_id(response)) == 11


@pytest.mark.parametrize(
    ("proof", "status"),
    [(checksum(b"other"), 460), ("sha384 AAAA", 400), ("sha1 AAAA", 400)],
)
def test_a_creation_whose_bytes_are_not_accepted_leaves_no_upload(
    alice: Tus, tmp_path: Path, proof: str, status: int
) -> None:
    alice.talk(post(proof), f"{status}\nLocation: (absent)", body=GIF)
    assert uploads(tmp_path) == []
    assert notes(tmp_path) == []


def test_a_creation_that_breaks_off_stands_at_its_begin(tus: Tus) -> None:
    response = tus.talk(
        post(checksum(GIF)),
        "201\nUpload-Offset: 0",
        wsgi_input=Cut(b"GIF89a"),
        CONTENT_LENGTH="11",
    )
    assert tus.offset(upload_id(response)) == 0


def test_a_damaged_empty_file(alice: Tus, tmp_path: Path) -> None:
    alice.talk(post(checksum(b"x"), 0), "460")
    assert uploads(tmp_path) == []
    alice.talk(post(checksum(b""), 0), "201")


def test_the_checksum_is_of_the_body_and_not_of_the_file(tus: Tus) -> None:
    """The Upload-Checksum request header contains information about the checksum of the current
    body payload."""
    upload = tus.create(metadata=metadata(filename="a.gif"))
    tus.append(upload, 0, b"GIF89a")
    tus.talk(patch(upload, 6, checksum(GIF)), "460", body=b"-----")
    tus.talk(patch(upload, 6, checksum(b"-----")), "204", body=b"-----")
