"""The body reader over real sockets; each test plays the client."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import Self

import pytest

from tests.raw import chunked
from tusd_server.server.body import BUFFER_BYTES, DRAIN_BYTES, MAX_TRAILER_LINES, RequestBody
from tusd_server.uploads.body import Ending

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass
class Pair:
    """Both ends of a connection, and what the server reads through."""

    client: socket.socket
    server: socket.socket
    rfile: BufferedReader

    @classmethod
    def connected(cls) -> Self:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname(), timeout=10)
            server = listener.accept()[0]
        server.settimeout(10)
        return cls(client, server, server.makefile("rb", -1))

    def body(
        self, length: int | None = None, *, chunked: bool = False, expects_continue: bool = False
    ) -> RequestBody:
        return RequestBody(
            self.rfile,
            self.server,
            length=length,
            chunked=chunked,
            expects_continue=expects_continue,
        )

    def close(self) -> None:
        for end in (self.rfile, self.server, self.client):
            end.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair.connected()
    yield pair
    pair.close()


def taken(body: RequestBody, limit: int = 1000) -> bytes:
    return b"".join(map(bytes, body.chunks(limit)))


def test_promised_length_is_read_and_no_byte_more(pair: Pair) -> None:
    pair.client.sendall(b"12345GET / HTTP/1.1\r\n")
    body = pair.body(5)
    assert taken(body) == b"12345"
    assert body.ending is Ending.COMPLETE
    assert not body.unread
    assert pair.rfile.readline() == b"GET / HTTP/1.1\r\n"


@pytest.mark.parametrize("length", [None, 0])
def test_no_length_is_no_body(pair: Pair, length: int | None) -> None:
    pair.client.sendall(b"GET / HTTP/1.1\r\n")
    body = pair.body(length)
    assert (taken(body), body.ending, body.length) == (b"", Ending.COMPLETE, 0)


def test_bytes_come_as_they_arrive(pair: Pair) -> None:
    chunks = pair.body(6).chunks(100)
    pair.client.sendall(b"123")
    assert bytes(next(chunks)) == b"123"
    pair.client.sendall(b"456")
    assert bytes(next(chunks)) == b"456"
    assert list(chunks) == []


def test_a_large_body_passes_through_the_one_buffer(pair: Pair) -> None:
    content = bytes(range(256)) * 12 * 1024
    sender = threading.Thread(target=pair.client.sendall, args=(content,))
    sender.start()
    sizes, whole = [], bytearray()
    for view in pair.body(len(content)).chunks(len(content)):
        sizes.append(len(view))
        whole += view
    sender.join()
    assert whole == content
    assert max(sizes) <= BUFFER_BYTES


@pytest.mark.parametrize(("limit", "ending"), [(5, Ending.COMPLETE), (4, Ending.OVERRUN)])
def test_limit_of_a_chunked_body(pair: Pair, limit: int, ending: Ending) -> None:
    pair.client.sendall(chunked(b"123", b"45"))
    body = pair.body(chunked=True)
    assert taken(body, limit) == b"12345"[:limit]
    assert body.ending is ending
    assert body.unread == (ending is Ending.OVERRUN)


def test_limit_of_a_long_body(pair: Pair) -> None:
    pair.client.sendall(b"12345")
    body = pair.body(5)
    assert (taken(body, 4), body.ending) == (b"1234", Ending.OVERRUN)


def test_chunk_extensions_and_trailers_are_read_over(pair: Pair) -> None:
    pair.client.sendall(b"3;a=b\r\n123\r\nA \t\r\n1234567890\r\n0;last\r\nT: 1\r\n\r\nnext\r\n")
    body = pair.body(chunked=True)
    assert (taken(body), body.ending) == (b"1231234567890", Ending.COMPLETE)
    assert pair.rfile.readline() == b"next\r\n"


@pytest.mark.parametrize(
    ("wire", "kept"),
    [
        (b"3\r\n123\r\nx\r\n", b"123"),
        (b"3\r\n123\r\n-1\r\n", b"123"),
        (b"3\r\n123\r\n+1\r\n1\r\n", b"123"),
        (b"3\r\n123\r\n0x1\r\n1\r\n", b"123"),
        (b"3\r\n123\r\n1_0\r\n", b"123"),
        (b"3\r\n123\r\n\r\n", b"123"),
        (b"3\r\n123\r\n1\n1\r\n", b"123"),
        (b"3\r\n1234\r\n", b"123"),
        (b"3\r\n123\r\n11111111111111111\r\n", b"123"),
        (b"3\r\n123\r\n1;" + b"x" * 5000 + b"\r\n1\r\n", b"123"),
        (b"3\r\n123\r\n0\r\n" + b"T: 1\r\n" * (MAX_TRAILER_LINES + 1), b"123"),
    ],
)
def test_broken_framing_keeps_what_came_before(pair: Pair, wire: bytes, kept: bytes) -> None:
    pair.client.sendall(wire)
    body = pair.body(chunked=True)
    assert (taken(body), body.ending) == (kept, Ending.BROKEN)


@pytest.mark.parametrize(
    ("wire", "kept"),
    [
        (b"", b""),
        (b"3", b""),
        (b"3\r", b""),
        (b"3\r\n", b""),
        (b"3\r\n12", b"12"),
        (b"3\r\n123", b"123"),
        (b"3\r\n123\r", b"123"),
        (b"3\r\n123\r\n", b"123"),
        (b"3\r\n123\r\n0", b"123"),
        (b"3\r\n123\r\n0\r\n", b"123"),
        (b"3\r\n123\r\n0\r\nT: 1\r\n", b"123"),
    ],
)
def test_cut_chunked_body_keeps_what_came(pair: Pair, wire: bytes, kept: bytes) -> None:
    pair.client.sendall(wire)
    pair.client.close()
    body = pair.body(chunked=True)
    assert (taken(body), body.ending) == (kept, Ending.DISCONNECTED)


def test_cut_body_keeps_what_came(pair: Pair) -> None:
    pair.client.sendall(b"1234")
    pair.client.close()
    body = pair.body(5)
    assert (taken(body), body.ending) == (b"1234", Ending.DISCONNECTED)


@pytest.mark.parametrize("chunked_body", [True, False])
def test_silence_keeps_what_came(pair: Pair, chunked_body: bool) -> None:
    pair.server.settimeout(0.05)
    pair.client.sendall(b"3\r\n123\r\n" if chunked_body else b"123")
    body = pair.body(None if chunked_body else 10, chunked=chunked_body)
    assert (taken(body), body.ending) == (b"123", Ending.TIMED_OUT)


@pytest.mark.parametrize("chunked_body", [True, False])
def test_bytes_that_came_with_the_head_are_handed_on_at_once(
    pair: Pair, chunked_body: bool
) -> None:
    """`readinto1` would wait for more, and lose them when more does not come."""
    pair.server.settimeout(0.05)
    pair.client.sendall(b"head\r\n" + (b"7d0\r\n123" if chunked_body else b"123"))
    assert pair.rfile.readline() == b"head\r\n"
    body = pair.body(None if chunked_body else 1_000_000, chunked=chunked_body)
    assert (taken(body, 1_000_000), body.ending) == (b"123", Ending.TIMED_OUT)


@pytest.mark.parametrize("chunked_body", [True, False])
def test_bytes_that_came_with_the_head_survive_a_reset(pair: Pair, chunked_body: bool) -> None:
    pair.client.sendall(b"head\r\n" + (b"186a0\r\n123" if chunked_body else b"123"))
    assert pair.rfile.readline() == b"head\r\n"
    pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.client.close()
    body = pair.body(None if chunked_body else 1_000_000, chunked=chunked_body)
    assert (taken(body, 1_000_000), body.ending) == (b"123", Ending.DISCONNECTED)


@pytest.mark.parametrize("ending", [Ending.TAKEN_OVER, Ending.STOPPING])
def test_a_waiting_reader_lets_go_at_once(pair: Pair, ending: Ending) -> None:
    pair.client.sendall(b"123")
    body = pair.body(10)
    chunks = body.chunks(10)
    assert bytes(next(chunks)) == b"123"
    waker = threading.Timer(0.05, body.let_go, args=(ending,))
    waker.start()
    started = time.monotonic()
    assert list(chunks) == []
    assert time.monotonic() - started < 5
    assert body.ending is ending
    waker.join()


def test_a_busy_reader_lets_go_although_there_is_more(pair: Pair) -> None:
    pair.client.sendall(b"123")
    body = pair.body(10)
    chunks = body.chunks(10)
    assert bytes(next(chunks)) == b"123"
    pair.client.sendall(b"4567890")
    body.let_go()
    assert list(chunks) == []
    assert body.ending is Ending.TAKEN_OVER


def test_the_first_reason_to_let_go_stands(pair: Pair) -> None:
    body = pair.body(10)
    body.let_go(Ending.STOPPING)
    body.let_go()
    assert (taken(body), body.ending) == (b"", Ending.STOPPING)


def test_who_lets_go_can_still_answer(pair: Pair) -> None:
    body = pair.body(10)
    body.let_go()
    assert taken(body) == b""
    pair.server.sendall(b"answer")
    assert pair.client.recv(100) == b"answer"


def test_closing_tells_a_fin_from_a_slow_client(pair: Pair) -> None:
    body = pair.body(10)
    assert not body.closing()
    pair.client.sendall(b"123")
    assert not body.closing()
    pair.client.shutdown(socket.SHUT_WR)
    wait_for_fin(body)
    assert taken(body) == b"123"


def wait_for_fin(body: RequestBody) -> None:
    give_up = time.monotonic() + 5
    while not body.closing():
        assert time.monotonic() < give_up
        time.sleep(0.001)


def test_closing_of_a_closed_connection(pair: Pair) -> None:
    body = pair.body(10)
    pair.rfile.close()
    pair.server.close()
    assert body.closing()


@pytest.mark.parametrize("chunked_body", [True, False])
def test_continue_is_sent_when_the_body_is_wanted_and_once(pair: Pair, chunked_body: bool) -> None:
    body = pair.body(None if chunked_body else 3, chunked=chunked_body, expects_continue=True)
    pair.client.setblocking(False)
    with pytest.raises(BlockingIOError):
        pair.client.recv(100)
    pair.client.setblocking(True)
    pair.client.sendall(chunked(b"123") if chunked_body else b"123")
    assert taken(body) == b"123"
    pair.server.shutdown(socket.SHUT_WR)
    assert pair.client.recv(100) == CONTINUE
    assert pair.client.recv(100) == b""


def test_no_continue_to_who_is_refused(pair: Pair) -> None:
    body = pair.body(3, expects_continue=True)
    assert not body.drainable
    pair.client.shutdown(socket.SHUT_WR)
    assert not body.settle()
    assert pair.client.recv(100) == b""


def test_small_rest_is_read_so_that_the_connection_goes_on(pair: Pair) -> None:
    pair.client.sendall(b"x" * 1000 + b"next\r\n")
    body = pair.body(1000)
    assert body.drainable
    assert body.settle()
    assert pair.rfile.readline() == b"next\r\n"


def test_large_rest_is_dropped_within_bounds_behind_our_fin(pair: Pair) -> None:
    pair.client.sendall(b"x" * 1000)
    body = pair.body(DRAIN_BYTES + 1)
    assert not body.drainable
    settled: list[bool] = []
    settler = threading.Thread(target=lambda: settled.append(body.settle()))
    settler.start()
    assert pair.client.recv(100) == b""
    pair.client.close()
    settler.join(10)
    assert settled == [False]


def test_behind_the_bound_the_rest_stays_unread_until_the_client_closes(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A break in the midst of a proxy's write would hide the answer from it."""
    monkeypatch.setattr("tusd_server.server.body.DRAIN_SECONDS", 30.0)
    settler = threading.Thread(target=pair.body(2 * DRAIN_BYTES).settle)
    settler.start()
    assert pair.client.recv(100) == b""
    pair.client.sendall(b"x" * (DRAIN_BYTES + 100_000))
    settler.join(0.2)
    assert settler.is_alive()
    pair.client.sendall(b"x" * 1000)
    pair.client.close()
    settler.join(10)
    assert not settler.is_alive()


def test_a_rest_that_never_comes_ends_the_connection_in_time(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tusd_server.server.body.DRAIN_SECONDS", 0.05)
    body = pair.body(100)
    started = time.monotonic()
    assert not body.settle()
    assert time.monotonic() - started < 5


def test_read_gives_as_much_as_asked(pair: Pair) -> None:
    pair.client.sendall(b"12345678")
    body = pair.body(8)
    assert body.read(3) == b"123"
    assert body.read(0) == b""
    assert body.read() == b"45678"
    assert body.read() == b""


def test_read_waits_for_all_that_was_asked(pair: Pair) -> None:
    pair.client.sendall(b"12")
    later = threading.Timer(0.05, pair.client.sendall, args=(b"345",))
    later.start()
    assert pair.body(5).read(5) == b"12345"
    later.join()


def test_lines(pair: Pair) -> None:
    pair.client.sendall(chunked(b"one\ntw", b"o\nthree"))
    body = pair.body(chunked=True)
    assert body.readline() == b"one\n"
    assert body.readline(2) == b"tw"
    assert body.readlines() == [b"o\n", b"three"]
    assert list(body) == []


@pytest.mark.parametrize("read", ["read", "readline"])
def test_cut_body_is_no_short_read(pair: Pair, read: str) -> None:
    pair.client.sendall(b"123")
    pair.client.close()
    with pytest.raises(ConnectionResetError):
        getattr(pair.body(5), read)()
