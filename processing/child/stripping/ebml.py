"""WebM (RFC 9559): private elements become Void of the same length, so no position changes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from processing.child.pieces import Pieces
from processing.sniff import vint

_HEADER: Final = 0x1A45DFA3
_SEGMENT: Final = 0x18538067
_CLUSTER: Final = 0x1F43B675
_INFO: Final = 0x1549A966
_TRACKS: Final = 0x1654AE6B
_TRACK: Final = 0xAE
_VOID: Final = 0xEC
_CHECKSUM: Final = 0xBF
_ENTERED: Final = (_SEGMENT, _CLUSTER, _INFO, _TRACKS, _TRACK)
_PRIVATE: Final = (
    # Tags, attachments, chapters.
    *(0x1254C367, 0x1941A469, 0x1043A770),
    # Of the segment: date, title, file names of this one and its neighbours.
    *(0x4461, 0x7BA9, 0x7384, 0x3C83AB, 0x3E83BB),
    # Of a track: its name.
    0x536E,
)


@dataclass(frozen=True, slots=True)
class _Element:
    number: int
    start: int
    body: int
    end: int


def strip(pieces: Pieces) -> None:
    """Make Void of tags, attachments, chapters, dates, titles and names."""
    for element in _elements(pieces, 0, pieces.size):
        if element.number in _PRIVATE or element.number in (_VOID, _CHECKSUM):
            _make_void(pieces, element)
        elif element.number in _ENTERED:
            pieces.keep(element.start, element.body)
        else:
            pieces.keep(element.start, element.end)


def _elements(pieces: Pieces, position: int, end: int) -> Iterator[_Element]:
    """Yield the elements in their order; those of `_ENTERED` are followed by their content.

    So a segment or cluster of unknown size, as live recordings have it, needs no end.
    """
    while position < end:
        head = pieces.read(position, 16)
        width = 9 - head[0].bit_length()
        size, size_width = vint(head[width:])
        if width > 4 or not size_width:
            raise ValueError(f"There is no element at {position}.")
        number, body = int.from_bytes(head[:width], "big"), position + width + size_width
        unknown = size == (1 << 7 * size_width) - 1
        if unknown and number not in _ENTERED:
            raise ValueError(f"The element {number:#x} does not say where it ends.")
        stop = min(end, body + size) if not unknown else end
        yield _Element(number, position, body, stop)
        position = body if number in _ENTERED else stop


def _make_void(pieces: Pieces, element: _Element) -> None:
    """The checksums go too, for they are those of the old content."""
    length = element.end - element.start
    if length < 2:
        raise ValueError(f"The element at {element.start} is cut off.")
    width = next(w for w in range(1, 9) if length - 1 - w < (1 << 7 * w) - 1)
    size = (length - 1 - width) | 1 << 7 * width
    pieces.replace(element.start, bytes([_VOID]) + size.to_bytes(width, "big"))
    pieces.blank(element.start + 1 + width, element.end)
