"""Connections to a running server: how they go on, and how they end."""

import time
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.live import Live
from tests.raw import OCTETS, Client, Wire, chunked, eventually, jpeg_bytes

MIB = 1024 * 1024
REFUSED = ("Upload-Offset", "7")
CHUNKED = ("Transfer-Encoding", "chunked")
EXPECT = ("Expect", "100-continue")


def stream_head(client: Client, path: str, *fields: tuple[str, str]) -> bytes:
    """A PATCH at offset 0 whose length only the framing tells."""
    return client.head("PATCH", path, ("Content-Type", OCTETS), ("Upload-Offset", "0"), *fields)


# Keep-alive and pipelining.


def test_one_connection_serves_many_requests(client: Client) -> None:
    content = jpeg_bytes(20_000)
    path = client.create(len(content))
    with client.wire() as wire:
        for offset in range(0, len(content), 5000):
            body = content[offset : offset + 5000]
            wire.send(client.patch_head(path, offset, len(body)) + body)
            answer = wire.answer()
            assert (answer.status, answer.offset) == (204, offset + 5000)
            assert answer.get("connection") is None
        wire.send(client.head("HEAD", path))
        assert wire.answer(bodiless=True).offset == len(content)
    assert client.download(path) == content


def test_pipelined_requests_are_answered_in_order(client: Client) -> None:
    content = jpeg_bytes(9000)
    path = client.create(len(content))
    first, second = content[:5000], content[5000:]
    with client.wire() as wire:
        wire.send(
            client.patch_head(path, 0, len(first))
            + first
            + client.head("HEAD", path)
            + client.patch_head(path, len(first), len(second))
            + second
            + client.head("GET", path)
        )
        assert wire.answer().offset == 5000
        assert wire.answer(bodiless=True).offset == 5000
        assert wire.answer().offset == 9000
        assert wire.answer().body == content


def test_pipelined_behind_a_chunked_body(client: Client) -> None:
    content = jpeg_bytes(9000)
    path = client.create(len(content))
    with client.wire() as wire:
        wire.send(stream_head(client, path, CHUNKED) + chunked(content[:4000], content[4000:]))
        wire.send(client.head("HEAD", path))
        assert wire.answer().status == 204
        assert wire.answer(bodiless=True).offset == 9000


def test_the_connection_goes_on_behind_a_small_refused_body(client: Client) -> None:
    path = client.create(10_000)
    with client.wire() as wire:
        wire.send(client.patch_head(path, 7, 5000) + bytes(5000))
        assert wire.answer().status == 409
        wire.send(client.head("HEAD", path))
        assert wire.answer(bodiless=True).offset == 0


def test_close_is_asked_for_and_done(client: Client) -> None:
    with client.wire() as wire:
        wire.send(client.head("OPTIONS", "/files/", ("Connection", "close")))
        answer = wire.answer()
        assert (answer.status, answer["connection"]) == (204, "close")
        assert wire.ended()


@pytest.mark.parametrize(("keep", "ends"), [("keep-alive", False), ("close", True), (None, True)])
def test_http_1_0(client: Client, keep: str | None, ends: bool) -> None:
    line = "" if keep is None else f"Connection: {keep}\r\n"
    with client.wire() as wire:
        wire.send(f"GET /healthz HTTP/1.0\r\n{line}\r\n".encode())
        assert wire.answer().status == 200
        if ends:
            assert wire.ended()
        else:
            wire.send(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert wire.answer().status == 200


def test_http_1_0_body_is_taken_in_without_a_continue(client: Client) -> None:
    content = jpeg_bytes(5000)
    path = client.create(len(content))
    head = client.patch_head(path, 0, len(content), EXPECT).replace(b"HTTP/1.1", b"HTTP/1.0")
    with client.wire() as wire:
        wire.send(head + content)
        assert wire.answer().status == 204
        assert wire.ended()


def test_answer_to_head_never_has_a_body(client: Client) -> None:
    content = jpeg_bytes(100)
    path = client.create(len(content))
    assert client.patch(path, 0, content).status == 204
    with client.wire() as wire:
        for target, fields in (
            ("/files/unknown", ()),
            ("/healthz", ()),
            ("/api/v1/media/unknown", ()),
            (path, (("X-HTTP-Method-Override", "GET"),)),
        ):
            wire.send(client.head("HEAD", target, *fields))
            wire.answer(bodiless=True)
        wire.send(client.head("HEAD", path))
        assert wire.answer(bodiless=True).offset == 100


# Expect: 100-continue.


@pytest.mark.parametrize("is_chunked", [True, False])
def test_continue_comes_before_the_body(client: Client, is_chunked: bool) -> None:
    content = jpeg_bytes(50_000)
    path = client.create(len(content))
    framing = CHUNKED if is_chunked else ("Content-Length", str(len(content)))
    with client.wire() as wire:
        wire.send(stream_head(client, path, framing, EXPECT))
        assert wire.answer().status == 100
        wire.send(chunked(content) if is_chunked else content)
        assert wire.answer().status == 204
        wire.send(client.head("HEAD", path))
        assert wire.answer(bodiless=True).offset == len(content)


def test_no_continue_before_a_refusal(client: Client) -> None:
    path = client.create(10 * MIB)
    for fields, status in (((REFUSED,), 409), ((("Upload-Offset", "x"),), 400)):
        with client.wire() as wire:
            head = client.head("PATCH", path, ("Content-Type", OCTETS), *fields, EXPECT)
            wire.send(head[:-2] + f"Content-Length: {10 * MIB}\r\n\r\n".encode())
            answer = wire.answer()
            assert (answer.status, answer["connection"]) == (status, "close")
            assert wire.ended()


def test_no_continue_before_a_401(client: Client) -> None:
    with client.wire() as wire:
        wire.send(
            b"PATCH /files/x HTTP/1.1\r\nHost: here\r\nTus-Resumable: 1.0.0\r\n"
            b"Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n"
        )
        assert wire.answer().status == 401
        assert wire.ended()


# Refusals of large bodies.


def refused(client: Client, path: str, size: int) -> tuple[int, int, float]:
    """Send a large body at a wrong offset, all of it before reading: status, bytes out, time."""
    block = bytes(64 * 1024)
    started = time.monotonic()
    with client.wire() as wire:
        wire.send(client.patch_head(path, 7, size))
        sent = wire.send_until_refused(block for _ in range(size // len(block)))
        answer = wire.answer()
        assert answer["connection"] == "close"
        assert wire.ended()
    return answer.status, sent, time.monotonic() - started


def test_refusal_of_5_mb_arrives(client: Client) -> None:
    path = client.create(400 * MIB)
    for _ in range(5):
        assert refused(client, path, 5 * MIB)[0] == 409


def test_refusal_of_500_mb_does_not_swallow_them(client: Client) -> None:
    path = client.create(500 * MIB)
    status, sent, seconds = refused(client, path, 500 * MIB)
    assert status == 409
    # What the server drops, and what lies in both machines' buffers.
    assert sent < 24 * MIB
    assert seconds < 10


def test_refusal_comes_at_once_although_the_body_does_not(client: Client) -> None:
    path = client.create(500 * MIB)
    with client.wire() as wire:
        wire.send(client.patch_head(path, 7, 500 * MIB))
        assert wire.answer().status == 409
        assert wire.ended(10)


def test_content_refused_behind_its_first_bytes(client: Client) -> None:
    path = client.create(100 * MIB)
    block = b"text" * 16 * 1024
    with client.wire() as wire:
        wire.send(client.patch_head(path, 0, 100 * MIB))
        sent = wire.send_until_refused(block for _ in range(100 * MIB // len(block)))
        assert wire.answer().status == 415
    assert sent < 24 * MIB
    assert client.ask("HEAD", path).status == 415


# Bodies that are not what was promised.


def test_chunked_body(client: Client) -> None:
    content = jpeg_bytes(300_000)
    path = client.create(len(content))
    with client.wire() as wire:
        wire.send(stream_head(client, path, CHUNKED))
        wire.send(chunked(content[:1], content[1:5000], content[5000:]))
        assert wire.answer().offset == len(content)
    assert client.download(path) == content


def test_overlong_chunked_body_is_not_kept(client: Client) -> None:
    path = client.create(8000)
    with client.wire() as wire:
        wire.send(stream_head(client, path, CHUNKED) + chunked(jpeg_bytes(8001)))
        answer = wire.answer()
        assert (answer.status, answer.offset) == (413, 0)
        assert wire.ended()
    assert client.offset(path) == 0


def test_body_beyond_the_length_is_refused_unread(client: Client) -> None:
    path = client.create(8000)
    with client.wire() as wire:
        wire.send(client.patch_head(path, 0, 8001))
        assert wire.answer().status == 413
    assert client.offset(path) == 0


def test_broken_framing_keeps_what_came_before(client: Client) -> None:
    content = jpeg_bytes(8000)
    path = client.create(len(content))
    with client.wire() as wire:
        wire.send(stream_head(client, path, CHUNKED))
        wire.send(chunked(content[:6000], end=False) + b"what?\r\n")
        answer = wire.answer()
        assert (answer.status, answer.offset) == (400, 6000)
        assert wire.ended()
    assert client.offset(path) == 6000


def test_cut_chunked_body_keeps_what_came(client: Client) -> None:
    content = jpeg_bytes(8000)
    path = client.create(len(content))
    with client.wire() as wire:
        wire.send(stream_head(client, path, CHUNKED))
        wire.send(chunked(content[:6000], end=False) + b"7d0\r\n" + content[6000:7000])
    assert client.offset(path) == 7000
    assert client.patch(path, 7000, content[7000:]).status == 204
    assert client.download(path) == content


def test_chunked_body_without_its_end_is_finished_when_all_bytes_are_there(client: Client) -> None:
    content = jpeg_bytes(8000)
    path = client.create(len(content))
    with client.wire() as wire:
        wire.send(stream_head(client, path, CHUNKED) + chunked(content, end=False))
        wire.half_close()
        assert (answer := wire.answer()).status == 204
        assert answer["upload-media-id"]


def test_body_shorter_than_promised_is_kept(client: Client) -> None:
    content = jpeg_bytes(8000)
    path = client.create(len(content))
    with client.wire() as wire:
        wire.send(client.patch_head(path, 0, 8000) + content[:5000])
        wire.half_close()
        answer = wire.answer()
        assert (answer.status, answer.offset) == (400, 5000)
    assert client.offset(path) == 5000


# Heads that are no heads.


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5, 5",
        b"Content-Length: five",
        b"Content-Length: -5",
        b"Content-Length: +5",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding : chunked",
        b"X: 1\r\n folded",
        b"Host: elsewhere",
        b"\x00: 1",
    ],
)
def test_bad_head_is_one_sentence_and_the_end(client: Client, lines: bytes) -> None:
    head = client.head("PATCH", "/files/x")[:-2] + lines + b"\r\n\r\n"
    with client.wire() as wire:
        wire.send(head + b"12345" + client.head("GET", "/healthz"))
        answer = wire.answer()
        assert (answer.status, answer["connection"]) == (400, "close")
        assert answer.text.endswith(".\n")
        assert answer.text.count("\n") == 1
        assert wire.ended()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\n" + b"X: 1\r\n" * 500_000 + b"\r\n",
    ],
)
def test_large_head_is_431_and_arrives(client: Client, head: bytes) -> None:
    with client.wire() as wire:
        wire.send_until_refused([head])
        assert wire.answer().status == 431
        assert wire.ended()


@pytest.mark.parametrize(
    "noise",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", b"\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n"],
)
def test_noise_is_answered_and_ended(client: Client, noise: bytes) -> None:
    with client.wire() as wire:
        wire.send(noise)
        assert wire.answer().status == 400
        assert wire.ended()


@pytest.mark.parametrize(
    ("target", "status"),
    [("*", 404), ("here:80", 404), ("http://here/none", 404), ("http://here/healthz?a=b", 200)],
)
def test_targets_of_other_forms(client: Client, target: str, status: int) -> None:
    with client.wire() as wire:
        wire.send(client.head("GET", target))
        assert wire.answer().status == status


def test_an_origin_alone_is_its_root(client: Client) -> None:
    statuses = []
    for target in ("/", "http://here"):
        with client.wire() as wire:
            wire.send(client.head("GET", target))
            statuses.append(wire.answer().status)
    assert statuses[0] == statuses[1]


def test_the_access_log_survives_a_bad_head(start_server: Start) -> None:
    server = start_server(access_log=1, workers=1)
    with Wire(server.host, server.port) as wire:
        wire.send(b"what?\r\n")
        assert wire.answer().status == 400
    with Wire(server.host, server.port) as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\nwhat?\r\n")
        assert wire.answer().status == 200
        assert wire.answer().status == 400
    with Wire(server.host, server.port) as wire:
        wire.send(b"GET /healthz?last HTTP/1.1\r\nHost: here\r\n\r\n")
        assert wire.answer().status == 200
    eventually(lambda: "/healthz?last" in server.log(), True)
    assert "Traceback" not in server.log()


# Silence.


@pytest.mark.parametrize(
    "begin", [b"", b"PATCH /fi", b"GET /healthz HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nHost: h"]
)
def test_silence_within_a_head_ends_the_connection(impatient: Live, begin: bytes) -> None:
    with Wire(impatient.host, impatient.port) as wire:
        wire.send(begin)
        assert wire.ended(10)


def test_trickled_head_ends_the_connection(impatient: Live) -> None:
    started = time.monotonic()
    with Wire(impatient.host, impatient.port) as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\nX: ")
        wire.trickle(b"x" * 100, 0.2)
        assert wire.ended(10)
    assert time.monotonic() - started < 15


def test_idle_connection_is_ended(impatient: Live) -> None:
    with Wire(impatient.host, impatient.port) as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
        assert wire.answer().status == 200
        assert wire.ended(10)


@pytest.mark.parametrize("is_chunked", [True, False])
def test_stalled_body_is_503_with_its_bytes_kept(impatient: Live, is_chunked: bool) -> None:
    client = Client(impatient)
    content = jpeg_bytes(100_000)
    path = client.create(len(content))
    framing = CHUNKED if is_chunked else ("Content-Length", str(len(content)))
    with client.wire() as wire:
        part = content[:70_000]
        wire.send(stream_head(client, path, framing))
        wire.send(chunked(part, end=False) if is_chunked else part)
        answer = wire.answer()
        assert (answer.status, answer.offset) == (503, len(part))
        assert wire.ended()
    assert client.offset(path) == len(part)
    assert client.patch(path, len(part), content[len(part) :]).status == 204
    assert client.download(path) == content


def test_slow_body_is_no_stalled_body(impatient: Live) -> None:
    client = Client(impatient)
    content = jpeg_bytes(40)
    path = client.create(len(content))
    with client.wire() as wire:
        wire.send(client.patch_head(path, 0, len(content)))
        wire.trickle(content, 0.05)
        assert wire.answer().status == 204


def test_a_client_that_does_not_read_is_ended(impatient: Live) -> None:
    client = Client(impatient)
    content = jpeg_bytes(32 * MIB)
    path = client.create(len(content))
    assert client.patch(path, 0, content).status == 204
    descriptors = Path(f"/proc/{impatient.web_pids()[0]}/fd")
    before = len(list(descriptors.iterdir()))
    with client.wire() as wire:
        wire.send(client.head("GET", path))
        eventually(lambda: len(list(descriptors.iterdir())) > before, True)
        eventually(lambda: len(list(descriptors.iterdir())) <= before, True)
        assert received(wire) < len(content)


def received(wire: Wire) -> int:
    count = 0
    try:
        while block := wire.socket.recv(MIB):
            count += len(block)
    except ConnectionResetError:
        pass
    return count
