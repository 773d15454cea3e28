"""GIF (89a, appendix A): pictures and loops without comments and application data."""

from typing import Final

from processing.child.pieces import Pieces

_EXTENSION: Final = 0x21
_IMAGE: Final = 0x2C
_TRAILER: Final = 0x3B
_COMMENT: Final = 0xFE
_APPLICATION: Final = 0xFF
_KEPT: Final = (b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012")


def strip(pieces: Pieces) -> None:
    """Drop comments, applications' data but loops and colours, and what follows the trailer."""
    data = pieces.whole()
    position = 13 + _table(data[10])
    pieces.keep(0, position)
    while position < len(data) and data[position] != _TRAILER:
        start, kind = position, data[position]
        if kind == 0:
            # An empty block too many, as some encoders write them.
            position += 1
            continue
        if kind == _IMAGE:
            position = _behind_blocks(data, start + 11 + _table(data[start + 9]))
        elif kind == _EXTENSION:
            position = _behind_blocks(data, start + 2)
        else:
            raise ValueError(f"There is no block of the kind {kind:#x} in a GIF.")
        if kind == _IMAGE or not _is_private(data[start + 1], data[start + 3 : start + 14]):
            pieces.keep(start, position)
    pieces.keep(position, position + 1)


def _is_private(label: int, application: bytes) -> bool:
    return label == _COMMENT or (label == _APPLICATION and application not in _KEPT)


def _table(flags: int) -> int:
    """The bytes of the table of colours that these flags announce."""
    return 3 * 2 ** (1 + (flags & 7)) if flags & 0x80 else 0


def _behind_blocks(data: bytes, position: int) -> int:
    while data[position]:
        position += 1 + data[position]
    return position + 1
