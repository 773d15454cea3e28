"""JPEG: pictures without application data, but with their colours and their orientation.

The segments are those of ITU-T T.81, B.1. What follows the end of the picture goes too: second
pictures, clips and trailers of phone makers, which have metadata of their own.
"""

import re
from typing import Final

from processing.child.pieces import Pieces
from processing.child.stripping.orientation import orientation, smallest_exif

_EOI: Final = 0xD9
_SOS: Final = 0xDA
_COMMENT: Final = 0xFE
_APPLICATION: Final = range(0xE0, 0xF0)
_WITHOUT_LENGTH: Final = (0x01, *range(0xD0, 0xD9))
_KEPT: Final = ((0xE0, b"JFIF\0"), (0xE2, b"ICC_PROFILE\0"), (0xEE, b"Adobe"))
# In coded data FF is followed by a zero, or by one of the eight restart markers.
_MARKER: Final = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_MARKER_IN_SCAN: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)


def strip(pieces: Pieces) -> None:
    """Drop all APPn but JFIF, ICC and Adobe, all comments, and what follows the picture."""
    turned = orientation(pieces, "JPEG")
    data = pieces.whole()
    pieces.keep(0, 2)
    position, scanning = 2, False
    exif = _exif_segment(turned) if turned != 1 else b""
    while found := (_MARKER_IN_SCAN if scanning else _MARKER).search(data, position):
        if scanning:
            pieces.keep(position, found.start())
        marker, start = data[found.start() + 1], found.start()
        end = start + 2
        if marker not in _WITHOUT_LENGTH and marker != _EOI:
            end += int.from_bytes(data[end : end + 2], "big")
        # JFIF wants to be first, so EXIF comes before whatever follows it.
        if exif and (marker, data[start + 4 : start + 9]) != (0xE0, b"JFIF\0"):
            pieces.replace(start, exif)
            exif = b""
        if not _is_private(marker, data[start + 4 : start + 16]):
            pieces.keep(start, end)
        if marker == _EOI:
            return
        position, scanning = end, scanning or marker == _SOS
    if scanning:
        pieces.keep(position, len(data))


def _is_private(marker: int, head: bytes) -> bool:
    if marker == _COMMENT:
        return True
    kept = any(marker == number and head.startswith(name) for number, name in _KEPT)
    return marker in _APPLICATION and not kept


def _exif_segment(value: int) -> bytes:
    body = b"Exif\0\0" + smallest_exif(value)
    return b"\xff\xe1" + (2 + len(body)).to_bytes(2, "big") + body
