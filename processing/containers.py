"""Whether a file ends where its own container says that it ends.

Decoders stay silent about a missing end as long as the index was at the front, so the top-level
structure is walked here. Only lengths are read, never contents.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from processing.sniff import AVIF, HEIC, MOV, MP4, WEBM, WEBP, Kind, vint

MOST_BOXES = 100_000
"""A file with more top-level boxes is broken: three minutes in fragments have some hundred."""

_SEGMENT = b"\x18\x53\x80\x67"
_INDEX = {MP4: b"moov", MOV: b"moov", HEIC: b"meta", AVIF: b"meta"}


def is_truncated(source: Path, kind: Kind) -> bool:
    """Tell whether the end of the file is missing, as far as its container's lengths say.

    False says nothing about JPEG, PNG and GIF, which state no length: they must be decoded.
    """
    with source.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if kind in _INDEX:
            return _boxes_miss(file, size, _INDEX[kind])
        if kind == WEBP:
            return int.from_bytes(file.read(8)[4:], "little") + 8 > size
        return kind == WEBM and _segment_misses(file, size)


def _boxes_miss(file: BinaryIO, size: int, index: bytes) -> bool:
    seen: set[bytes] = set()
    for name, end in _boxes(file, size):
        if end > size:
            # Phones append trailers which are no boxes; behind a whole file they do no harm.
            whole = index in seen and (b"mdat" in seen or index == b"meta")
            return not (whole and not name.isalpha())
        seen.add(name)
    return index not in seen


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield the name and the end of each top-level box, the last of which may lie past `size`."""
    position = 0
    for _ in range(MOST_BOXES):
        file.seek(position)
        header = file.read(16)
        length, name = int.from_bytes(header[:4], "big"), header[4:8]
        if len(header) < 8:
            return
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:
            length = size - position
        if length < 8:
            return
        position += length
        yield name, position
        if position >= size:
            return


def _segment_misses(file: BinaryIO, size: int) -> bool:
    head = file.read(4096)
    header_size, width = vint(head[4:12])
    position = 4 + width + header_size
    if head[position : position + 4] != _SEGMENT:
        return False
    length, width = vint(head[position + 4 : position + 12])
    # All ones is "unknown": recorded live, and no end can be missed (RFC 8794, 6.2).
    if not width or length == (1 << 7 * width) - 1:
        return False
    return position + 4 + width + length > size
