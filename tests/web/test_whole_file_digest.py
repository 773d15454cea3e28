"""A digest of the whole file, declared at its creation and verified with its last byte."""

import base64
import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rooms import GIF, OCTETS, Cut, Tus, catalog_of, make_app, metadata, settings, upload_id
from tests.web.test_checksum import checksum
from tests.web.test_core import TUS

CONTENT = GIF + random.Random(7).randbytes(200_000)
SENTENCE = "that was declared for it; upload it anew."


def in_metadata(data: bytes) -> str:
    return f"Upload-Metadata: {metadata(sha256=hashlib.sha256(data).hexdigest())}"


def repr_digest(data: bytes) -> str:
    return f"Repr-Digest: sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def begin(tus: Tus, declared: str, length: int = len(CONTENT)) -> str:
    return upload_id(tus.talk(f"POST /files/\n{TUS}\nUpload-Length: {length}\n{declared}", "201"))


@pytest.mark.parametrize("declare", [in_metadata, repr_digest])
@pytest.mark.parametrize("size", [1, 4096, 60_000, len(CONTENT)])
def test_a_file_that_arrived_whole(tus: Tus, declare: Callable[[bytes], str], size: int) -> None:
    content = CONTENT if size > 1 else GIF
    upload = begin(tus, declare(content), len(content))
    for at in range(0, len(content), size):
        assert tus.append(upload, at, content[at : at + size]).status_code == 204
    assert tus.offset(upload) == len(content)


@pytest.mark.parametrize("declare", [in_metadata, repr_digest])
def test_a_file_that_did_not(tus: Tus, declare: Callable[[bytes], str]) -> None:
    """HEAD answers the same, so no client takes the upload for a success."""
    upload = begin(tus, declare(CONTENT[:-1] + b"?"))
    assert tus.append(upload, 0, CONTENT[:100_000]).status_code == 204
    for response in (tus.append(upload, 100_000, CONTENT[100_000:]), tus.append(upload, 0, b"")):
        assert response.status_code == 460
        assert "Upload-Offset" not in response.headers
        assert response.text.endswith(f"{SENTENCE}\n")
    tus.talk(f"HEAD /files/{upload}\n{TUS}", "460\nUpload-Offset: (absent)")
    assert tus.get(f"/files/{upload}").status_code == 460
    assert tus.delete(upload).status_code == 204


def test_its_bytes_are_dropped_and_nothing_is_made_of_it(alice: Tus, tmp_path: Path) -> None:
    upload = begin(alice, in_metadata(b"other"))
    assert alice.append(upload, 0, CONTENT).status_code == 460
    names = [path.name for path in (tmp_path / "data").iterdir() if path.name[0] != "."]
    assert names == [f"{upload}.info"]
    assert catalog_of(alice.app).by_upload(upload) is None


def test_a_creation_with_all_bytes(alice: Tus, tmp_path: Path) -> None:
    head = f"POST /files/\n{TUS}\nUpload-Length: 11\nContent-Type: {OCTETS}\n"
    alice.talk(head + in_metadata(b"other"), "460\nLocation: (absent)", body=GIF)
    assert [path.name for path in (tmp_path / "data").iterdir() if path.name[0] != "."] == []
    alice.talk(head + in_metadata(GIF), "201\nUpload-Media-Id: (anything)", body=GIF)


def test_a_hash_that_was_interrupted(tus: Tus) -> None:
    """A break, a damaged chunk and a body beyond the end leave the digest right."""
    upload = begin(tus, in_metadata(CONTENT))
    assert tus.append(upload, 0, CONTENT[:9000]).status_code == 204
    cut = Cut(CONTENT[9000:20_000])
    assert tus.append(upload, 9000, CONTENT[9000:], wsgi_input=cut).status_code == 400
    assert tus.offset(upload) == 20_000
    patch = f"PATCH /files/{upload}\n{TUS}\nContent-Type: {OCTETS}\nUpload-Offset: 20000"
    proof = f"Upload-Checksum: {checksum(CONTENT[20_000:30_000])}"
    tus.talk(f"{patch}\n{proof}", "460", body=b"x" * 10_000)
    tus.talk(f"{patch}\n{proof}", "204", body=CONTENT[20_000:30_000])
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked"}
    beyond = Cut(CONTENT[30_000:] + b"!")
    assert tus.append(upload, 30_000, b"", wsgi_input=beyond, **chunked).status_code == 413
    assert tus.offset(upload) == 30_000
    assert tus.append(upload, 30_000, CONTENT[30_000:]).status_code == 204
    assert tus.offset(upload) == len(CONTENT)


def test_another_process_goes_on(tmp_path: Path) -> None:
    """A hash under way lives in one process; the next one reads what it has not seen."""
    ends = []
    for content in (CONTENT, CONTENT[:-1] + b"?"):
        with make_app(settings(tmp_path)) as app:
            upload = begin(Tus(app), in_metadata(CONTENT))
            assert Tus(app).append(upload, 0, content[:100_000]).status_code == 204
        with make_app(settings(tmp_path)) as app:
            ends.append(Tus(app).append(upload, 100_000, content[100_000:]).status_code)
    assert ends == [204, 460]


def test_a_deferred_length(tus: Tus) -> None:
    declared = in_metadata(GIF)
    create = f"POST /files/\n{TUS}\nUpload-Defer-Length: 1\n{declared}"
    for content, status in ((GIF, 204), (b"GIF89a-!---", 460)):
        upload = upload_id(tus.talk(create, "201"))
        assert tus.append(upload, 0, content).status_code == 204
        tus.talk(
            f"PATCH /files/{upload}\n{TUS}\nContent-Type: {OCTETS}\nUpload-Offset: 11\n"
            "Upload-Length: 11",
            f"{status}",
        )


def test_a_part_may_declare_its_own(tus: Tus) -> None:
    create = (
        f"POST /files/\n{TUS}\nUpload-Length: 5\nUpload-Concat: partial\n{in_metadata(b'12345')}"
    )
    good, bad = (upload_id(tus.talk(create, "201")) for _ in range(2))
    assert tus.append(good, 0, b"12345").status_code == 204
    assert tus.append(bad, 0, b"1234!").status_code == 460
    tus.talk(f"POST /files/\n{TUS}\nUpload-Concat: final;/files/{good} /files/{bad}", "460")


@pytest.mark.parametrize(
    "declared",
    [
        f"Upload-Metadata: {metadata(sha256='abc')}",
        f"Upload-Metadata: {metadata(sha256=hashlib.sha256(GIF).digest())}",
        "Repr-Digest: sha-256=:AAAA:",
        "Repr-Digest: sha-256=:!:, sha-256=:A:",
    ],
)
def test_a_digest_that_is_none(alice: Tus, tmp_path: Path, declared: str) -> None:
    alice.talk(f"POST /files/\n{TUS}\nUpload-Length: 11\n{declared}", "400\nLocation: (absent)")
    assert [path.name for path in (tmp_path / "data").iterdir() if path.name[0] != "."] == []


def test_a_digest_of_another_algorithm_is_not_verified(tus: Tus) -> None:
    """RFC 9530: a digest of an algorithm that is not supported is ignored."""
    digest = base64.b64encode(hashlib.sha512(b"other").digest()).decode()
    upload = begin(tus, f"Repr-Digest: sha-512=:{digest}:", 11)
    assert tus.append(upload, 0, GIF).status_code == 204
