"""The application under gunicorn's own workers: no server of ours, the same protocol."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import Gunicorn
from tests.raw import OCTETS, Client, chunked, eventually, jpeg_bytes
from tusd_server.uploads.body import BLOCK_BYTES

KINDS = ("sync", "gthread", "gevent")
SIZE = 300_000


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gunicorn]:
    threads = ["--threads", "4"] if request.param == "gthread" else []
    data_dir = tmp_path_factory.mktemp(request.param) / "data"
    with Gunicorn(request.param, data_dir, *threads) as server:
        yield server


@pytest.fixture
def client(server: Gunicorn) -> Client:
    return Client(server)


def test_create_append_look_finish(client: Client) -> None:
    content = jpeg_bytes(SIZE)
    path = client.create(SIZE, filename="a.jpg")
    for offset in range(0, SIZE, 100_000):
        assert client.offset(path) == offset
        answer = client.patch(path, offset, content[offset : offset + 100_000])
        assert (answer.status, answer.offset) == (204, offset + 100_000)
    assert answer["upload-media-id"]
    assert client.download(path) == content


def test_creation_with_upload(client: Client) -> None:
    content = jpeg_bytes(5000)
    fields = (("Upload-Length", "5000"), ("Content-Type", OCTETS))
    answer = client.ask("POST", "/files/", *fields, body=content)
    assert (answer.status, answer.offset) == (201, 5000)
    assert client.download("/files/" + answer["location"].rpartition("/")[2]) == content


def test_method_override_with_a_chunked_body(client: Client) -> None:
    content = jpeg_bytes(50_000)
    path = client.create(len(content))
    head = client.head(
        "POST",
        path,
        ("X-HTTP-Method-Override", "PATCH"),
        ("Content-Type", OCTETS),
        ("Upload-Offset", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Expect", "100-continue"),
    )
    with client.wire() as wire:
        wire.send(head)
        assert wire.answer().status == 100
        wire.send(chunked(content[:20_000], content[20_000:]))
        assert wire.answer().status == 204
    assert client.download(path) == content


def test_overlong_chunked_body_is_not_kept(client: Client) -> None:
    path = client.create(8000)
    head = client.head(
        "PATCH",
        path,
        ("Content-Type", OCTETS),
        ("Upload-Offset", "0"),
        ("Transfer-Encoding", "chunked"),
    )
    with client.wire() as wire:
        wire.send(head + chunked(jpeg_bytes(8001)))
        assert wire.answer().status == 413
    assert client.offset(path) == 0


@pytest.mark.parametrize("cut", ["fin", "rst"])
def test_resume_behind_a_cut(client: Client, server: Gunicorn, cut: str) -> None:
    """A foreign server may lose a block that was not full, never one that was."""
    content = jpeg_bytes(SIZE)
    path = client.create(SIZE)
    stored, full_blocks = server.data_dir / path.rpartition("/")[2], 3 * BLOCK_BYTES
    with client.wire() as wire:
        wire.send(client.patch_head(path, 0, SIZE) + content[:200_000])
        if cut == "rst":
            eventually(lambda: stored.stat().st_size >= full_blocks, True)
            wire.reset()
    eventually(lambda: stored.stat().st_size >= full_blocks, True)
    offset = client.offset(path)
    assert full_blocks <= offset <= 200_000
    assert client.patch(path, offset, content[offset:]).status == 204
    assert client.download(path) == content


def test_refusals(client: Client) -> None:
    path = client.create(100)
    assert client.patch(path, 7, b"x").status == 409
    assert client.patch(path, 0, jpeg_bytes(101)).status == 413
    assert client.ask("PATCH", path, ("Upload-Offset", "0"), body=b"x").status == 415
    assert client.ask("GET", "/files/unknown").status == 404
    assert client.patch(path, 0, b"text" * 25).status == 415
    assert client.ask("HEAD", path).status == 415


def test_delete(client: Client, server: Gunicorn) -> None:
    path = client.create(100)
    assert client.ask("DELETE", path).status == 204
    assert client.ask("HEAD", path).status == 404
    assert not list(Path(server.data_dir).glob(path.rpartition("/")[2] + "*"))
