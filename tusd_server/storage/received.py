"""Which bytes of an upload in chunks are here."""

from dataclasses import dataclass, replace
from itertools import compress

MISSING = 0
WRITTEN = 1
SYNCED = 2

_MISSING_TO_ONE = bytes([1]) + bytes(255)


@dataclass(frozen=True, slots=True)
class Received:
    """The bytes that count: a run from the start, and whole chunks anywhere.

    `length` and `chunk_size` are those of the upload, `run` is the number of bytes that came one
    behind the other, and `here` has one byte for each chunk, MISSING or another value.
    """

    length: int
    chunk_size: int
    run: int
    here: bytes

    @classmethod
    def nothing(cls, length: int, chunk_size: int) -> "Received":
        """Of an upload that has just begun."""
        return cls(length, chunk_size, 0, bytes(chunks_of(length, chunk_size)))

    @property
    def total(self) -> int:
        """How many chunks there are."""
        return len(self.here)

    @property
    def offset(self) -> int:
        """Where the first hole begins; the length when there is none."""
        hole = self.here.find(MISSING, self.run // self.chunk_size)
        return self.length if hole < 0 else max(self.run, hole * self.chunk_size)

    @property
    def complete(self) -> bool:
        """True when no byte is missing."""
        return self.offset == self.length

    @property
    def bytes(self) -> int:
        """How many bytes are here, in all."""
        first = self.run // self.chunk_size
        whole = self.total - first - self.here.count(MISSING, first)
        counted = self.run + whole * self.chunk_size
        if whole and self.here[first] != MISSING:
            counted -= self.run - first * self.chunk_size
        if whole and self.here[-1] != MISSING:
            counted -= self.total * self.chunk_size - self.length
        return counted

    @property
    def missing(self) -> tuple[int, ...]:
        """The chunks that are not here as a whole, in order."""
        first = self.run // self.chunk_size
        if self.run == self.length:
            return ()
        lacks = self.here[first:].translate(_MISSING_TO_ONE)
        return tuple(compress(range(first, self.total), lacks))

    def bounds(self, index: int) -> tuple[int, int]:
        """Where a chunk begins and ends."""
        start = index * self.chunk_size
        return start, min(start + self.chunk_size, self.length)

    def has(self, index: int) -> bool:
        """Whether every byte of this chunk is here."""
        return self.here[index] != MISSING or self.bounds(index)[1] <= self.run

    def with_chunk(self, index: int, state: int = WRITTEN) -> "Received":
        """With one more chunk."""
        here = bytearray(self.here)
        here[index] = state
        return replace(self, here=bytes(here))

    def with_run(self, end: int) -> "Received":
        """With a run of so many bytes."""
        return replace(self, run=end)


def chunks_of(length: int, chunk_size: int) -> int:
    """How many chunks make up so many bytes; the last one may be shorter."""
    return -(-length // chunk_size)
