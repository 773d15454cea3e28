"""Broken connections: every byte that the server's machine received is kept, none is mixed up."""

import random
import time
from collections.abc import Callable

import pytest

from tests.conftest import Start
from tests.live import Live
from tests.raw import OCTETS, Client, Wire, chunked, eventually, jpeg_bytes
from tests.services import wait_until

SIZE = 600_000
Cut = Callable[[Wire], None]


def fin(wire: Wire) -> None:
    wire.close()


def rst(wire: Wire) -> None:
    wire.flush()
    wire.reset()


def silence(wire: Wire) -> None:
    wire.flush()
    assert wire.answer().status == 503
    wire.close()


def finish(client: Client, path: str, content: bytes) -> None:
    """Go on where the server says, and look whether the file is the one that was sent."""
    offset = client.offset(path)
    answer = client.patch(path, offset, content[offset:])
    assert (answer.status, answer.offset) == (204, len(content))
    assert client.download(path) == content


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("cut", [fin, rst, silence])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_byte_before_a_cut_is_kept(
    impatient: Live, cut: Cut, seed: int, is_chunked: bool
) -> None:
    client, at = Client(impatient), random.Random(seed).randrange(1, SIZE)
    content = jpeg_bytes(SIZE, seed)
    path = client.create(SIZE)
    framing = ("Transfer-Encoding", "chunked") if is_chunked else ("Content-Length", str(SIZE))
    kind, zero = ("Content-Type", OCTETS), ("Upload-Offset", "0")
    with client.wire() as wire:
        wire.send(client.head("PATCH", path, kind, zero, framing))
        wire.send(chunked(content[:at], end=False) if is_chunked else content[:at])
        cut(wire)
    eventually(lambda: client.offset(path), at)
    finish(client, path, content)


def test_many_cuts_of_one_upload(client: Client) -> None:
    content, chance = jpeg_bytes(SIZE), random.Random(7)
    path, offset = client.create(SIZE), 0
    while offset < SIZE:
        size = min(chance.choice((1, 100, 5000, 60_000)), SIZE - offset)
        with client.wire() as wire:
            wire.send(client.patch_head(path, offset, SIZE - offset))
            wire.send(content[offset : offset + size])
            chance.choice((fin, rst))(wire)
        offset += size
        eventually(lambda: client.offset(path), offset)
    assert client.download(path) == content


@pytest.mark.parametrize("cut", [fin, rst])
def test_cut_creation_with_upload_keeps_its_bytes(web: Live, client: Client, cut: Cut) -> None:
    """The client never learns the URL, but an upload that is there is a true one."""
    content, before = jpeg_bytes(9000), web.files()

    def kept() -> list[bytes]:
        new = [web.data_dir / name for name in web.files() - before]
        return [path.read_bytes() for path in new if path.suffix != ".info"]

    with client.wire() as wire:
        head = client.head(
            "POST",
            "/files/",
            ("Upload-Length", "9000"),
            ("Content-Type", OCTETS),
            ("Content-Length", "9000"),
        )
        wire.send(head + content[:5000])
        cut(wire)
    eventually(kept, [content[:5000]])


def test_creation_whose_body_stalls_tells_its_url(impatient: Live) -> None:
    client, content = Client(impatient), jpeg_bytes(9000)
    with client.wire() as wire:
        head = client.head(
            "POST",
            "/files/",
            ("Upload-Length", "9000"),
            ("Content-Type", OCTETS),
            ("Content-Length", "9000"),
        )
        wire.send(head + content[:5000])
        answer = wire.answer()
    assert (answer.status, answer.offset) == (201, 5000)
    finish(client, "/files/" + answer["location"].rpartition("/")[2], content)


def test_cut_between_the_head_and_the_body(client: Client) -> None:
    path = client.create(9000)
    for cut in (fin, rst):
        with client.wire() as wire:
            wire.send(client.patch_head(path, 0, 9000))
            cut(wire)
    finish(client, path, jpeg_bytes(9000))


def test_killed_web_process_loses_nothing(start_server: Start) -> None:
    server = start_server(workers=1)
    client, content = Client(server), jpeg_bytes(2_000_000)
    path = client.create(len(content))
    for part in (300_000, 1_100_000):
        stored = server.data_dir / path.rpartition("/")[2]
        before = stored.stat().st_size
        with client.wire() as wire:
            wire.send(client.patch_head(path, before, len(content) - before))
            wire.send(content[before:part])
            eventually(lambda file=stored: file.stat().st_size, part)
            server.kill_child(server.web_pids()[0])
            assert wire.ended()
        assert client.offset(path) == part
    finish(client, path, content)


def test_killed_gunicorn_is_started_again(start_server: Start) -> None:
    server = start_server(workers=1)
    client, content = Client(server), jpeg_bytes(9000)
    path = client.create(len(content))
    first, worker = server.supervised("gunicorn"), server.web_pids()[0]
    with client.wire() as wire:
        wire.send(client.patch_head(path, 0, len(content)) + content[:5000])
        eventually(lambda: client.offset(path), 5000)
        server.kill_child(first)
        # The orphan notices within a second that its parent is gone.
        assert wire.ended(20)
    wait_until(lambda: server.supervised("gunicorn") != first, "A new gunicorn")
    wait_until(lambda: worker not in server.web_pids(), "A new web process")
    started = time.monotonic()
    finish(client, path, content)
    assert time.monotonic() - started < 15
