"""The body of one request, straight from the socket.

`wsgi.input.read(n)` of pywsgi waits for all n bytes and forgets those that came before a break.
Here every byte is handed on as it arrives, in one buffer that the whole process shares: between
the `recv` that fills it and the write that empties it no other greenlet can run, so a slow phone
costs no buffer at all.
"""

import contextlib
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from io import BufferedReader

import gevent

from tusd_server.server.reading import BadRequestHead, parse_field_line
from tusd_server.uploads.body import Ending

BUFFER_BYTES = 1024 * 1024
# Of each connection, for heads; thousands of slow phones pay for every KiB. Bodies go past it.
READ_BUFFER_BYTES = 4096
DRAIN_BYTES = 1024 * 1024
DRAIN_SECONDS = 2.0
HANG_UP_POLL_SECONDS = 0.02
# A greenlet that always finds data never lets another one run, so it steps back now and then.
BYTES_BETWEEN_YIELDS = 16 * 1024 * 1024
MAX_CHUNK_LINE = 4096
MAX_TRAILER_LINES = 64

_BUFFER = memoryview(bytearray(BUFFER_BYTES))
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# "chunk = chunk-size [ chunk-ext ] CRLF"; 16 hexadecimal digits are 64 bits.
# https://www.rfc-editor.org/rfc/rfc9112#section-7.1
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r\n")
# Linux's numbers: our FIN is sent and the client's has not come; the client's has, ours not.
_TCP_FIN_WAIT = (4, 5)
_TCP_CLOSE_WAIT = 8


_NO_TRAILERS: Mapping[str, str] = {}


class _BrokenFraming(Exception):
    """The chunked coding is wrong."""


def hang_up(sock: socket.socket, give_up: float) -> None:
    """End a connection on which the client may still be sending, so that it gets our answer.

    Closing a socket with unread bytes sends a reset, which can overtake the answer: the client
    would see a broken connection in place of the 409 or 413. So our side is closed, and what
    still comes is dropped until the client closes too, at most DRAIN_BYTES. What comes behind
    those stays unread: a proxy whose write waits looks at the answer, one whose write breaks
    makes a 502 of it. All this until `give_up`, a moment of time.monotonic().
    """
    dropped = 0
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        while dropped < DRAIN_BYTES and (left := give_up - time.monotonic()) > 0:
            sock.settimeout(left)
            size = sock.recv_into(_BUFFER)
            if not size:
                return
            dropped += size
        while _tcp_state(sock) in _TCP_FIN_WAIT and time.monotonic() < give_up:
            gevent.sleep(HANG_UP_POLL_SECONDS)


def _tcp_state(sock: socket.socket) -> int:
    state: int = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state


class RequestBody:
    """`wsgi.input` and uploads.body.Body in one, for both kinds of HTTP/1.1 framing.

    `chunks` serves uploads, once. `read` and `readline` serve the JSON API and raise
    ConnectionResetError where the body ends early.
    """

    __slots__ = (
        "_at_chunk_end",
        "_chunk_left",
        "_expects_continue",
        "_left",
        "_may_hold",
        "_reading",
        "_rfile",
        "_socket",
        "_stop",
        "_window",
        "chunked",
        "ending",
        "length",
        "received",
        "trailers",
    )

    def __init__(
        self,
        rfile: BufferedReader,
        sock: socket.socket,
        *,
        length: int | None,
        chunked: bool,
        expects_continue: bool,
    ) -> None:
        """`length` is Content-Length; without it and not chunked, the body is empty."""
        self._rfile = rfile
        self._socket = sock
        self._left = length or 0
        self._chunk_left = 0
        # Whether bytes that came together with the head, or with a chunk's, may lie in `_rfile`.
        self._may_hold = True
        self._at_chunk_end = False
        self._expects_continue = expects_continue
        self._stop: Ending | None = None
        self.chunked = chunked
        self.length: int | None = None if chunked else (length or 0)
        self.ending: Ending | None = None
        self.trailers: Mapping[str, str] = _NO_TRAILERS
        self.received = 0
        self._reading = False
        self._window: tuple[float, int] | None = None
        if not chunked and not length:
            self.ending = Ending.COMPLETE

    def chunks(self, limit: int) -> Iterator[memoryview]:
        """See uploads.body.Body."""
        until_yield = 0
        self._reading = True
        while self.received < limit and self.ending is None:
            size = self._receive(_BUFFER[: limit - self.received])
            if not size:
                break
            self.received += size
            yield _BUFFER[:size]
            until_yield += size
            if until_yield >= BYTES_BETWEEN_YIELDS:
                until_yield = 0
                gevent.sleep(0)
        if self.ending is None and self._more():
            self.ending = Ending.OVERRUN
        self._reading = False

    def too_slow(self, now: float, window_seconds: float, least_bytes: int) -> bool:
        """Whether fewer bytes than that came in a whole window; asked now and then.

        The timeout of a single read cannot see a client that sends a byte now and then.
        """
        if not self._reading or self._window is None:
            self._window = (now, self.received)
            return False
        since, received = self._window
        if now - since < window_seconds:
            return False
        self._window = (now, self.received)
        return self.received - received < least_bytes

    def let_go(self, ending: Ending = Ending.TAKEN_OVER) -> None:
        """Stop the greenlet that reads this body; it keeps what it has and can still answer."""
        self._stop = self._stop or ending
        # Wakes a reader that waits for bytes; the flag stops one that always finds some.
        with contextlib.suppress(OSError):  # the client is gone already
            self._socket.shutdown(socket.SHUT_RD)

    def closing(self) -> bool:
        """True when the client has sent its FIN, so that only bytes under way are left."""
        try:
            return _tcp_state(self._socket) == _TCP_CLOSE_WAIT
        except OSError:
            return True

    @property
    def unread(self) -> bool:
        """True while the client may still send, or wait to send, bytes of this body."""
        return self.ending is not Ending.COMPLETE

    @property
    def drainable(self) -> bool:
        """True when the rest is small enough to be read so that the connection can go on."""
        return (
            self.ending is None
            and self._stop is None
            and not self.chunked
            and not self._expects_continue
            and self._left <= DRAIN_BYTES
        )

    def settle(self) -> bool:
        """Deal with an unread rest once the answer is out; True when the connection may go on.

        A small rest is read; behind a larger one, or one that does not come, `hang_up`.
        """
        if not self.unread:
            return True
        give_up = time.monotonic() + DRAIN_SECONDS
        if self.drainable and self._drain(give_up):
            return True
        hang_up(self._socket, give_up)
        return False

    def _drain(self, give_up: float) -> bool:
        """Read and drop the rest; True when all of it came."""
        while self.ending is None and (left := give_up - time.monotonic()) > 0:
            self._socket.settimeout(left)
            self._receive(_BUFFER)
        return not self.unread

    def _discard(self) -> None:
        """pywsgi calls this behind every answer; the connection does it better, by `settle`."""

    def read(self, size: int | None = -1) -> bytes:
        """Read `size` bytes, or all of them; fewer only at the end of the body."""
        wanted = size if size is not None and size >= 0 else None
        parts = []
        while wanted is None or wanted > 0:
            view = _BUFFER if wanted is None else _BUFFER[:wanted]
            received = self._receive(view) if self.ending is None else 0
            if not received:
                break
            parts.append(bytes(view[:received]))
            if wanted is not None:
                wanted -= received
        self._raise_if_cut()
        return b"".join(parts)

    def readline(self, size: int | None = -1) -> bytes:
        """Read up to and with the next newline; form parsers use it on small bodies."""
        limit = size if size is not None and size >= 0 else None
        line = bytearray()
        while not line.endswith(b"\n") and (limit is None or len(line) < limit):
            if self.ending is not None or not self._receive(_BUFFER[:1]):
                break
            line += _BUFFER[:1]
        self._raise_if_cut()
        return bytes(line)

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """All lines; WSGI asks for this method."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def _raise_if_cut(self) -> None:
        if self.ending not in (None, Ending.COMPLETE):
            raise ConnectionResetError(104, "the request's body ended early")

    def _more(self) -> bool:
        """Whether there is a byte beyond what was read; learns of a chunked body's end."""
        return self._guarded(lambda: self._next_size(1)) > 0

    def _receive(self, view: memoryview) -> int:
        """Put the next bytes into `view` and count them; 0 sets `ending`."""
        return self._guarded(lambda: self._receive_or_raise(view))

    def _guarded(self, call: Callable[[], int]) -> int:
        """Turn every way in which reading can fail into an ending and 0."""
        try:
            return call()
        except _BrokenFraming:
            self.ending = Ending.BROKEN
        except TimeoutError:
            self.ending = Ending.TIMED_OUT
        except (OSError, EOFError):
            self.ending = self._stop or Ending.DISCONNECTED
        return 0

    def _receive_or_raise(self, view: memoryview) -> int:
        size = self._next_size(len(view))
        if not size:
            return 0
        if self._may_hold:
            received = self._rfile.readinto1(view[: self._held(size)])
        else:
            # Past the buffer: a waiting connection then keeps less on its stack, too.
            received = self._socket.recv_into(view[:size])
        if not received:
            raise EOFError
        if self.chunked:
            self._chunk_left -= received
            self._at_chunk_end = not self._chunk_left
        else:
            self._left -= received
            if not self._left:
                self.ending = Ending.COMPLETE
        return received

    def _held(self, wanted: int) -> int:
        """How many of `wanted` bytes `_rfile` can give without a read.

        Asked for more than it holds, `readinto1` copies what it holds and then waits for the
        socket; a reset or a timeout would take the copied bytes along.
        """
        held = len(self._rfile.peek())
        self._may_hold = held > wanted
        return min(held, wanted)

    def _next_size(self, wanted: int) -> int:
        """How many of `wanted` bytes belong to this body; 0 sets `ending`."""
        if self._stop is not None:
            self.ending = self._stop
            return 0
        if self._expects_continue:
            self._expects_continue = False
            self._socket.sendall(_CONTINUE)
        if not self.chunked:
            return min(wanted, self._left)
        if not self._chunk_left:
            self._begin_chunk()
        return min(wanted, self._chunk_left)

    def _begin_chunk(self) -> None:
        if self._at_chunk_end and self._line() != b"\r\n":
            raise _BrokenFraming
        self._at_chunk_end = False
        line = self._line()
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise _BrokenFraming
        self._chunk_left = int(match[1], 16)
        if not self._chunk_left:
            self._read_trailers()
            self.ending = Ending.COMPLETE

    def _read_trailers(self) -> None:
        trailers: dict[str, str] = {}
        for _ in range(MAX_TRAILER_LINES):
            line = self._line()
            if line == b"\r\n":
                self.trailers = trailers
                return
            try:
                name, value = parse_field_line(line)
            except BadRequestHead:
                raise _BrokenFraming from None
            trailers[name.lower()] = value
        raise _BrokenFraming

    def _line(self) -> bytes:
        self._may_hold = True
        line = self._rfile.readline(MAX_CHUNK_LINE)
        if not line.endswith(b"\n") and len(line) < MAX_CHUNK_LINE:
            raise EOFError
        return line
