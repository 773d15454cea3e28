"""The portable body: never more than allowed, and a broken connection is no exception."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rooms import Cut
from tusd_server.uploads.body import BLOCK_BYTES, Ending, PortableBody


def read(body: PortableBody, limit: int) -> bytes:
    return b"".join(bytes(view) for view in body.chunks(limit))


class Trickle:
    """A client that sends one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self.left = data
        self.sizes: list[int] = []

    def read(self, size: int) -> bytes:
        self.sizes.append(size)
        block, self.left = self.left[:1], self.left[1:]
        return block


@pytest.mark.parametrize(
    ("sent", "length", "limit", "expected", "ending"),
    [
        (b"hello", 5, 5, b"hello", Ending.COMPLETE),
        (b"hello", 5, 9, b"hello", Ending.COMPLETE),
        (b"hello", 5, 3, b"hel", Ending.OVERRUN),
        (b"hello", 9, 9, b"hello", Ending.DISCONNECTED),
        (b"", 0, 9, b"", Ending.COMPLETE),
        (b"", 5, 5, b"", Ending.DISCONNECTED),
        (b"hello", 5, 0, b"", Ending.OVERRUN),
        (b"hello", None, 9, b"hello", Ending.COMPLETE),
        (b"hello", None, 5, b"hello", Ending.COMPLETE),
        (b"hello", None, 4, b"hell", Ending.OVERRUN),
        (b"", None, 0, b"", Ending.COMPLETE),
        (b"x", None, 0, b"", Ending.OVERRUN),
        (b"hello, next request", 5, 9, b"hello", Ending.COMPLETE),
    ],
)
def test_endings(
    sent: bytes, length: int | None, limit: int, expected: bytes, ending: Ending
) -> None:
    body = PortableBody(io.BytesIO(sent), length)
    assert read(body, limit) == expected
    assert body.ending is ending
    assert body.length == length


def test_a_body_has_no_ending_while_it_is_read() -> None:
    body = PortableBody(Trickle(b"hello"), 5)
    assert [body.ending for _ in body.chunks(5)] == [None] * 5


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (TimeoutError(), Ending.TIMED_OUT),
        (ConnectionResetError(), Ending.DISCONNECTED),
        (BrokenPipeError(), Ending.DISCONNECTED),
        (OSError("the stream failed"), Ending.DISCONNECTED),
        (EOFError(), Ending.DISCONNECTED),
    ],
)
@pytest.mark.parametrize("length", [9, None])
def test_a_broken_connection_ends_quietly(
    error: Exception, ending: Ending, length: int | None
) -> None:
    body = PortableBody(Cut(b"hello", error), length)
    assert read(body, 9) == b"hello"
    assert body.ending is ending


def test_an_error_of_the_program_is_not_taken_for_a_broken_connection() -> None:
    body = PortableBody(Cut(b"hello", ZeroDivisionError()), 9)
    with pytest.raises(ZeroDivisionError):
        read(body, 9)


def test_a_slow_client() -> None:
    body = PortableBody(Trickle(b"hello"), 5)
    assert read(body, 5) == b"hello"
    assert body.ending is Ending.COMPLETE


@pytest.mark.parametrize("length", [10, None])
def test_a_newer_request_takes_over(length: int | None) -> None:
    """The block under way is kept, and nothing is read after it."""
    stream = Trickle(b"0123456789")
    body = PortableBody(stream, length)
    received = b""
    for view in body.chunks(10):
        received += bytes(view)
        if len(received) == 3:
            body.let_go()
    assert received == b"012"
    assert stream.left == b"3456789"
    assert body.ending is Ending.TAKEN_OVER


def test_taken_over_at_the_last_byte_is_complete() -> None:
    body = PortableBody(io.BytesIO(b"hello"), 5)
    for _ in body.chunks(5):
        body.let_go()
    assert body.ending is Ending.COMPLETE


def test_taken_over_before_the_first_byte() -> None:
    body = PortableBody(Cut(b"hello", AssertionError("it was read")), 5)
    body.let_go()
    assert read(body, 5) == b""
    assert body.ending is Ending.TAKEN_OVER


def test_no_server_tells_of_a_closing_client() -> None:
    assert not PortableBody(io.BytesIO(), 0).closing()


def test_blocks_are_small() -> None:
    """Some servers wait for all that is asked for, and forget it when the connection breaks."""
    stream = Trickle(b"x" * 3)
    list(PortableBody(stream, 10 * BLOCK_BYTES).chunks(10 * BLOCK_BYTES))
    assert max(stream.sizes) == BLOCK_BYTES


@settings(deadline=None)
@given(
    st.binary(max_size=300),
    st.none() | st.integers(min_value=0, max_value=300),
    st.integers(min_value=0, max_value=300),
)
def test_whatever_comes(sent: bytes, length: int | None, limit: int) -> None:
    stream = io.BytesIO(sent)
    body = PortableBody(stream, length)
    received = read(body, limit)
    assert received == sent[: len(received)]
    assert len(received) <= limit
    if length is not None:
        assert len(received) <= length
        assert stream.tell() <= length
    if body.ending is Ending.COMPLETE:
        assert len(received) == (len(sent) if length is None else length)
