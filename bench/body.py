"""The bytes every server gets: a valid MP4 head, then noise, one block repeated to any length."""

import random
from collections.abc import Iterator

MIB = 1 << 20
GIB = 1 << 30

_FTYP = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42"
# Size 0: this box reaches to the end of the file, whatever its length.
_MDAT = b"\x00\x00\x00\x00mdat"
_HEAD = _FTYP + _MDAT

BLOCK = _HEAD + random.Random(1).randbytes(MIB - len(_HEAD))


def blocks(length: int) -> Iterator[memoryview]:
    """The first `length` bytes of the endless body, at most 1 MiB at a time."""
    view = memoryview(BLOCK)
    for start in range(0, length, MIB):
        yield view[: min(MIB, length - start)]
