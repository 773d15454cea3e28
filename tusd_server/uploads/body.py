"""The bytes of one request: never more than allowed, and a broken connection is no exception.

A store must be able to keep what arrived before a break. So a body ends quietly, whatever
happened, and says afterwards how it ended.
"""

import enum
from collections.abc import Iterator, Mapping
from typing import Protocol

BLOCK_BYTES = 64 * 1024


class Ending(enum.Enum):
    """How a body ended."""

    COMPLETE = "complete"
    """All of it was read."""
    OVERRUN = "overrun"
    """There was more than allowed; the rest was not read."""
    DISCONNECTED = "disconnected"
    """The client closed or lost the connection before the end."""
    TIMED_OUT = "timed out"
    """The client sent nothing for too long."""
    TAKEN_OVER = "taken over"
    """A newer request wants the upload."""
    STOPPING = "stopping"
    """The server stops."""
    BROKEN = "broken"
    """The chunked framing was wrong."""


class Body(Protocol):
    """One request's body, which is also the holder of its upload's lock."""

    @property
    def length(self) -> int | None:
        """The length in bytes that the request announced; None when it is chunked."""

    @property
    def ending(self) -> Ending | None:
        """How the body ended; None while it has not."""

    @property
    def trailers(self) -> Mapping[str, str]:
        """The fields behind a chunked body, names in lower case; empty before its end."""

    def chunks(self, limit: int) -> Iterator[memoryview]:
        """Yield the body's bytes, at most `limit` in all, as they arrive.

        A view holds only until the next one is asked for, or other connections may run: whatever
        waits comes behind the use of the view. Afterwards `ending` is set; it is OVERRUN when the
        body went on beyond the limit.
        """

    def let_go(self) -> None:
        """Stop for a newer request; see locks.Holder."""

    def closing(self) -> bool:
        """See locks.Holder."""


class Input(Protocol):
    """The part of `wsgi.input` that we need."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; empty at the end."""


class PortableBody:
    """A body on any WSGI server.

    Reads small blocks, because `read(n)` of some servers waits for all n bytes and forgets them
    when the connection breaks before. WSGI has no trailers.
    """

    def __init__(self, stream: Input, length: int | None) -> None:
        """`length` is Content-Length; None reads a stream which ends by itself (chunked)."""
        self._stream = stream
        self._taken_over = False
        self.length = length
        self.ending: Ending | None = None
        self.trailers: Mapping[str, str] = {}

    def chunks(self, limit: int) -> Iterator[memoryview]:
        """See Body."""
        allowed = limit if self.length is None else min(limit, self.length)
        received = 0
        while received < allowed and not self._taken_over:
            block = self._read(min(BLOCK_BYTES, allowed - received))
            if not block:
                break
            received += len(block)
            yield memoryview(block)
        if self.ending is None:
            self.ending = self._how_it_ended(received, limit)

    def let_go(self) -> None:
        """See Body; takes effect when the block under way has arrived."""
        self._taken_over = True

    def closing(self) -> bool:
        """See Body; a WSGI server does not tell."""
        return False

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except TimeoutError:
            self.ending = Ending.TIMED_OUT
        except (OSError, EOFError):
            self.ending = Ending.DISCONNECTED
        return b""

    def _how_it_ended(self, received: int, limit: int) -> Ending:
        if self._taken_over and received != self.length:
            return Ending.TAKEN_OVER
        if self.length is not None:
            if received == self.length:
                return Ending.COMPLETE
            return Ending.OVERRUN if self.length > limit else Ending.DISCONNECTED
        return Ending.OVERRUN if received == limit and self._read(1) else Ending.COMPLETE
