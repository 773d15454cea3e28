"""PNG: the chunks that decide how the picture looks, and no others."""

import zlib
from typing import Final

from processing.child.pieces import Pieces
from processing.child.stripping.orientation import orientation, smallest_exif

_KEPT: Final = frozenset(
    (
        *(b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI"),
        *(b"bKGD", b"hIST", b"pHYs", b"sPLT", b"acTL", b"fcTL", b"fdAT"),
    )
)


def strip(pieces: Pieces) -> None:
    """Drop text, times, EXIF, unknown ancillary chunks, and what follows IEND."""
    turned = orientation(pieces, "PNG")
    position = 8
    pieces.keep(0, position)
    exif = _chunk(b"eXIf", smallest_exif(turned)) if turned != 1 else b""
    while head := pieces.read(position, 8):
        name, end = head[4:8], position + 12 + int.from_bytes(head[:4], "big")
        if exif and name == b"IDAT":
            pieces.put(exif)
            exif = b""
        if name == b"eXIf" and exif == pieces.read(position, end - position):
            pieces.keep(position, end)
            exif = b""
        elif _is_critical(name) or name in _KEPT:
            pieces.keep(position, end)
        if name == b"IEND":
            return
        position = end


def _is_critical(name: bytes) -> bool:
    return not name[0] & 0x20


def _chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + name + data + check
