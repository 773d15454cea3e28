"""WebP (RFC 9649, 2.7): pixels, alpha, animation and colours, and no other chunks."""

from typing import Final

from processing.child.pieces import Pieces
from processing.child.stripping.orientation import orientation, smallest_exif

_KEPT: Final = (b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP")
_HAS_EXIF: Final = 0x08
_HAS_XMP: Final = 0x04
_EXTENDED: Final = b"VP8X"


def strip(pieces: Pieces) -> None:
    """Drop EXIF, XMP and unknown chunks, and what follows the RIFF."""
    turned = orientation(pieces, "WEBP")
    end = min(pieces.size, 8 + int.from_bytes(pieces.read(4, 4), "little"))
    chunks = [each for each in _chunks(pieces, end) if each[0] in (*_KEPT, _EXTENDED)]
    turns = turned != 1 and chunks[0][0] == _EXTENDED
    exif = _exif_chunk(turned) if turns else b""
    length = 4 + sum(stop - start for _, start, stop in chunks) + len(exif)
    pieces.replace(0, b"RIFF" + length.to_bytes(4, "little") + b"WEBP")
    for name, start, stop in chunks:
        if name == _EXTENDED:
            flags = pieces.read(start + 8, 1)[0] & ~(_HAS_EXIF | _HAS_XMP)
            pieces.keep(start, start + 8)
            pieces.replace(start + 8, bytes([flags | (_HAS_EXIF if turns else 0)]))
            start += 9
        pieces.keep(start, stop)
    if exif:
        pieces.replace(end - len(exif), exif)


def _chunks(pieces: Pieces, end: int) -> list[tuple[bytes, int, int]]:
    """Name, start and end of each chunk, with the byte that makes its length even."""
    found, position = [], 12
    while position + 8 <= end:
        head = pieces.read(position, 8)
        length = int.from_bytes(head[4:], "little")
        stop = min(end, position + 8 + length + length % 2)
        found.append((head[:4], position, stop))
        position = stop
    return found


def _exif_chunk(value: int) -> bytes:
    body = smallest_exif(value)
    return b"EXIF" + len(body).to_bytes(4, "little") + body
