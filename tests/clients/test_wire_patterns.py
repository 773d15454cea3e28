"""What other clients send, request by request, as their sources have it.

Directly, through nginx, and through Caddy.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.proxies import Front
from tests.raw import OCTETS, Answer, Client, Field, Wire, chunked, jpeg_bytes, request_head

SIZE = 1_300_000


@pytest.fixture
def plain(client: Client) -> list[tuple[str, str]]:
    """The fields that every client sends, version aside."""
    host = f"{client.server.host}:{client.server.port}"
    return [("Host", host), ("Authorization", f"Bearer {client.token}")]


OVERRIDE = ("X-HTTP-Method-Override", "PATCH")


@pytest.mark.parametrize(
    ("method", "more"), [("POST", [OVERRIDE]), ("PATCH", [])], ids=["desktop", "android"]
)
def test_tus_java_client(client: Client, method: str, more: list[Field]) -> None:
    """Desktop Java knows no PATCH; both stream requests of 10 MiB behind an Expect."""
    content = jpeg_bytes(SIZE)
    half = SIZE // 2
    path = client.create(SIZE, filename="a.jpg")
    for offset in (0, half):
        head = client.head(
            method,
            path,
            *more,
            ("Content-Type", OCTETS),
            ("Upload-Offset", str(offset)),
            ("Expect", "100-continue"),
            ("Transfer-Encoding", "chunked"),
        )
        with client.wire() as wire:
            wire.send(head)
            assert wire.answer().status == 100
            body = content[offset : offset + half]
            wire.send(chunked(*(body[at : at + 4096] for at in range(0, half, 4096))))
            answer = final(wire)
        # It compares the answer's offset with what it has sent.
        assert (answer.status, answer.offset) == (204, offset + half)
    assert client.download(path) == content


def final(wire: Wire) -> Answer:
    """The answer behind any number of 100s; Caddy adds its own to the server's."""
    while (answer := wire.answer()).status == 100:
        pass
    return answer


def test_tus_java_client_is_refused_before_its_body(front: Front, client: Client) -> None:
    path = client.create(SIZE)
    head = client.head(
        "POST",
        path,
        OVERRIDE,
        ("Content-Type", OCTETS),
        ("Upload-Offset", "5"),
        ("Expect", "100-continue"),
        ("Transfer-Encoding", "chunked"),
    )
    with client.wire() as wire:
        wire.send(head)
        if front.proxied:
            # nginx and Caddy ask for the body before the server has said a word.
            assert wire.answer().status == 100
        assert wire.answer().status == 409
        assert front.proxied or wire.ended()


def test_tuskit(client: Client, plain: list[tuple[str, str]]) -> None:
    """TUSKit spells TUS-Resumable so, and sends files of 500 KiB."""
    content, chunk = jpeg_bytes(SIZE), 500 * 1024
    fields = [*plain, ("TUS-Resumable", "1.0.0"), ("TUS-Extension", "creation")]
    with client.wire() as wire:
        wire.send(request_head("OPTIONS", "/files/", fields))
        answer = wire.answer()
        assert answer.status in (200, 204)
        assert " " not in answer["tus-extension"]
        assert "creation" in answer["tus-extension"].split(",")
        metadata = "filetype aW1hZ2UvanBlZw==,filename YS5qcGc=,context Zm9v"
        create = [*fields, ("Upload-Length", str(SIZE)), ("Upload-Metadata", metadata)]
        wire.send(request_head("POST", "/files/", [*create, ("Content-Length", "0")]))
        answer = wire.answer()
        assert answer.status == 201
        path = "/files/" + answer["location"].rpartition("/")[2]
        for offset in range(0, SIZE, chunk):
            wire.send(request_head("HEAD", path, fields))
            answer = wire.answer(bodiless=True)
            assert (answer.status, answer.offset) == (200, offset)
            assert (answer["upload-length"], answer["upload-metadata"]) == (str(SIZE), metadata)
            body = content[offset : offset + chunk]
            patch = [("Content-Type", OCTETS), ("Upload-Offset", str(offset))]
            length = ("Content-Length", str(len(body)))
            wire.send(request_head("PATCH", path, [*fields, *patch, length]) + body)
            assert wire.answer().offset == offset + len(body)
    assert client.download(path) == content


def test_go_tus(client: Client, plain: list[tuple[str, str]]) -> None:
    """go-tus sends empty metadata, a body-less POST with a length, and wants exact statuses."""
    content = jpeg_bytes(5000)
    fields = [*plain, ("User-Agent", "Go-http-client/1.1"), ("Tus-Resumable", "1.0.0")]
    create = [*fields, ("Content-Length", "0"), ("Upload-Length", "5000"), ("Upload-Metadata", "")]
    with client.wire() as wire:
        wire.send(request_head("POST", "/files/", create))
        answer = wire.answer()
        assert answer.status == 201
        path = "/files/" + answer["location"].rpartition("/")[2]
        wire.send(request_head("HEAD", path, fields))
        assert wire.answer(bodiless=True).status == 200
        patch = [("Content-Type", OCTETS), ("Upload-Offset", "0"), ("Content-Length", "5000")]
        wire.send(request_head("PATCH", path, [*fields, *patch]) + content)
        assert wire.answer().status == 204
    assert client.download(path) == content


def test_tusgo(client: Client, plain: list[tuple[str, str]]) -> None:
    """tusgo asks what the server can, splits the answer at commas, and wants exact statuses."""
    content = jpeg_bytes(5000)
    fields = [*plain, ("User-Agent", "Go-http-client/1.1"), ("Tus-Resumable", "1.0.0")]
    with client.wire() as wire:
        wire.send(request_head("OPTIONS", "/files/", fields))
        answer = wire.answer()
        assert answer.status in (200, 204)
        assert answer["tus-version"].split(",") == ["1.0.0"]
        assert {"creation", "checksum", "concatenation"} <= set(answer["tus-extension"].split(","))
        assert "sha1" in answer["tus-checksum-algorithm"].split(",")
        int(answer["tus-max-size"])
        create = [*fields, ("Content-Length", "0"), ("Upload-Length", "5000")]
        wire.send(request_head("POST", "/files/", create))
        answer = wire.answer()
        assert answer.status == 201
        path = "/files/" + answer["location"].rpartition("/")[2]
        # It streams, so its bodies are chunked.
        patch = [("Content-Type", OCTETS), ("Upload-Offset", "0"), ("Transfer-Encoding", "chunked")]
        wire.send(request_head("PATCH", path, [*fields, *patch]) + chunked(content))
        answer = wire.answer()
        assert (answer.status, answer.offset) == (204, 5000)
        wire.send(request_head("DELETE", path, fields))
        assert wire.answer().status == 204


def test_uppy_in_a_browser(client: Client, plain: list[tuple[str, str]]) -> None:
    """A preflight without a token, then every header that tus-js-client reads is exposed."""
    origin = ("Origin", "https://app.example")
    asked = "authorization,tus-resumable,upload-length,upload-metadata,x-request-id"
    with client.wire() as wire:
        preflight = [
            plain[0],
            origin,
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", asked),
        ]
        wire.send(request_head("OPTIONS", "/files/", preflight))
        answer = wire.answer()
        assert answer.status in (200, 204)
        allowed = {
            name.strip().lower() for name in answer["access-control-allow-headers"].split(",")
        }
        assert set(asked.split(",")) <= allowed
        assert "PATCH" in answer["access-control-allow-methods"]
        wire.send(client.head("POST", "/files/", origin, ("Upload-Length", "100")))
        answer = wire.answer()
        exposed = {name.strip() for name in answer["access-control-expose-headers"].split(",")}
        assert {"Location", "Upload-Offset", "Upload-Length", "Tus-Resumable"} <= exposed
        assert answer["access-control-allow-origin"] == "*"


def test_uppy_pauses_and_resumes(front: Front, client: Client) -> None:
    """Pause aborts the PATCH; resume asks at once, and its PATCH finds the lock free.

    A proxy may still hold bytes when HEAD is answered, or drop them: then the PATCH at what HEAD
    told is a 409, and another HEAD tells more.
    """
    content = jpeg_bytes(SIZE)
    path = client.create(SIZE)
    for until in (300_000, 600_000, 900_000):
        offset = client.offset(path)
        with client.wire() as wire:
            wire.send(client.patch_head(path, offset, SIZE - offset))
            wire.send(content[offset:until])
            wire.flush()
        assert client.offset(path) == until or front.proxied
    attempts = 0
    while (answer := patch_rest(client, path, content)).status == 409:
        attempts += 1
        assert attempts < 5
    assert (answer.status, answer.offset) == (204, SIZE)
    assert attempts == 0 or front.proxied
    assert client.download(path) == content


def patch_rest(client: Client, path: str, content: bytes) -> Answer:
    offset = client.offset(path)
    return client.patch(path, offset, content[offset:])


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed.")
def test_curl(front: Front, client: Client, tmp_path: Path) -> None:
    """The line that `serve` prints: one request with the bytes; then a download."""
    content = jpeg_bytes(SIZE)
    photo, copy = tmp_path / "photo.jpg", tmp_path / "copy.jpg"
    photo.write_bytes(content)
    token = ["-H", f"Authorization: Bearer {front.token()}"]
    tus = ["-H", "Tus-Resumable: 1.0.0", "-H", f"Content-Type: {OCTETS}"]
    answer = curl(
        "-i", *token, *tus, "-H", f"Upload-Length: {SIZE}", "--data-binary", f"@{photo}",
        f"{front.url}/files/",
    )  # fmt: skip
    lines = answer.splitlines()
    assert any(line.startswith("HTTP/1.1 201 ") for line in lines)
    location = next(line[10:] for line in lines if line.lower().startswith("location: "))
    curl(*token, "-o", str(copy), location)
    assert copy.read_bytes() == content
    # A PATCH from standard input is chunked, and above 1 MiB curl asks for a 100 first.
    path = client.create(SIZE)
    offset = ["-H", "Upload-Offset: 0", "-H", "Transfer-Encoding: chunked"]
    curl("-X", "PATCH", *token, *tus, *offset, "-T", str(photo), front.url + path)
    assert client.download(path) == content


def curl(*arguments: str) -> str:
    command = ["curl", "-sS", "--fail-with-body", "--max-time", "30", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_proxy_with_one_connection_for_many_users(front: Front) -> None:
    """A reverse proxy keeps its connections and sends everybody's requests over them."""
    users = [Client(front, name) for name in ("alice", "bob", "carol")]
    content = jpeg_bytes(5000)
    paths = [user.create(5000) for user in users]
    with Wire(front.host, front.port) as wire:
        for user, path in zip(users, paths, strict=True):
            for other in users:
                wire.send(other.head("HEAD", path))
                status = wire.answer(bodiless=True).status
                assert status == (200 if other is user else 404)
            wire.send(user.patch_head(path, 0, 5000) + content)
            assert wire.answer().status == 204
