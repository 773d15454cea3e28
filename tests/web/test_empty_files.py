"""Files of no bytes. Sentences are those of tus 1.0.0."""

import hashlib
from pathlib import Path

import pytest

from tests.rooms import OCTETS, Cut, Tus, metadata, upload_id
from tests.web.test_core import TUS


def test_an_empty_file_is_complete_without_a_patch(tus: Tus) -> None:
    """The Upload-Length header MAY be set to 0, indicating that the Client wants to upload an empty
    file. Such an upload is immediately complete after its creation without transferring data using
    PATCH requests."""
    response = tus.talk(
        f"POST /files/\n{TUS}\nUpload-Length: 0",
        "201\nUpload-Offset: (absent)\nUpload-Expires: (absent)\nUpload-Media-Id: (anything)",
    )
    tus.talk(f"HEAD /files/{upload_id(response)}\n{TUS}", "200\nUpload-Offset: 0\nUpload-Length: 0")


def test_a_patch_of_nothing_is_still_allowed(tus: Tus) -> None:
    upload = tus.create(0)
    assert tus.append(upload, 0, b"").status_code == 204
    assert tus.append(upload, 0, b"x").status_code == 413


def test_it_is_downloaded_as_it_is(alice: Tus) -> None:
    response = alice.get(f"/files/{alice.create(0)}")
    assert (response.status_code, response.data) == (200, b"")


@pytest.mark.parametrize(("sent", "status"), [(b"", 201), (b"x", 413)])
def test_a_creation_with_a_chunked_body(
    alice: Tus, tmp_path: Path, sent: bytes, status: int
) -> None:
    """Its length is seen only by reading it."""
    alice.talk(
        f"POST /files/\n{TUS}\nUpload-Length: 0\nContent-Type: {OCTETS}",
        f"{status}",
        wsgi_input=Cut(sent),
        HTTP_TRANSFER_ENCODING="chunked",
    )
    files = [path.name for path in (tmp_path / "data").iterdir() if path.name[0] != "."]
    assert len(files) == (2 if status == 201 else 0)


@pytest.mark.parametrize(("said", "status"), [(b"", 201), (b"x", 460)])
def test_its_digest_is_verified_too(alice: Tus, said: bytes, status: int) -> None:
    header = metadata(sha256=hashlib.sha256(said).hexdigest())
    alice.talk(f"POST /files/\n{TUS}\nUpload-Length: 0\nUpload-Metadata: {header}", f"{status}")


def test_an_empty_part_and_an_empty_whole(tus: Tus) -> None:
    begin = f"POST /files/\n{TUS}\nUpload-Concat:"
    parts = [upload_id(tus.talk(f"{begin} partial\nUpload-Length: 0", "201")) for _ in range(2)]
    whole = upload_id(
        tus.talk(
            f"{begin} final;/files/{parts[0]} /files/{parts[1]}",
            "201\nUpload-Media-Id: (anything)",
        )
    )
    tus.talk(
        f"HEAD /files/{whole}\n{TUS}",
        "200\nUpload-Offset: 0\nUpload-Length: 0\nUpload-Media-Id: (anything)",
    )
    assert tus.head(parts[0]).status_code == 404
