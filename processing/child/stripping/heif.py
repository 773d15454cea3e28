"""HEIC and AVIF: the items Exif and XMP are overwritten where they lie; no picture moves."""

from collections.abc import Iterator
from typing import Final

from processing.child.boxes import Box, Patches, boxes, descend
from processing.child.pieces import Pieces
from processing.child.stripping.film import strip_movie

_KEPT: Final = frozenset((b"ftyp", b"meta", b"mdat", b"moov", b"moof", b"sidx", b"wide"))
_PRIVATE_ITEMS: Final = frozenset((b"Exif", b"mime", b"uri "))
_PRIVATE_BOXES: Final = frozenset((b"udta", b"uuid", b"free", b"skip"))
# Four bytes that point to the TIFF header, and a directory without entries.
_NO_EXIF: Final = bytes(4) + b"MM\0*\0\0\0\x08\0\0\0\0\0\0"
_NO_XMP: Final = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
_IN_FILE, _IN_IDAT = 0, 1
_LARGEST_PADDED: Final = 65536


def strip(pieces: Pieces) -> None:
    """Overwrite EXIF, XMP and foreign items, blank unknown boxes, cut off what follows them."""
    patches, end = Patches(pieces), 0
    for box in boxes(pieces, 0, pieces.size, trailer=True):
        end = box.end
        if box.name == b"meta":
            _strip_items(pieces, patches, box)
        elif box.name not in _KEPT:
            patches.free(box)
    strip_movie(pieces, patches)
    patches.apply(end)


def _strip_items(pieces: Pieces, patches: Patches, meta: Box) -> None:
    # It has version and flags before its boxes.
    meta = Box(meta.name, meta.start, meta.body + 4, meta.end)
    for box in boxes(pieces, meta.body, meta.end):
        if box.name in _PRIVATE_BOXES:
            patches.free(box)
    kinds = dict(_kinds(pieces, descend(pieces, meta, b"iinf")))
    for number, extents in _locations(pieces, meta):
        kind = kinds.get(number, b"")
        if kind not in _PRIVATE_ITEMS:
            continue
        if not extents:
            raise ValueError("An item lies where it cannot be overwritten.")
        for start, end in extents:
            if end > pieces.size or start >= end:
                raise ValueError("An item lies outside the file.")
            _overwrite(patches, kind, start, end)


def _overwrite(patches: Patches, kind: bytes, start: int, end: int) -> None:
    """Put something valid and empty in place of the item, as far as there is room."""
    length, data = end - start, b""
    if kind == b"Exif" and length >= len(_NO_EXIF):
        data = _NO_EXIF
    if kind == b"mime" and len(_NO_XMP) <= length <= _LARGEST_PADDED:
        data = _NO_XMP.ljust(length)
    if data:
        patches.write(start, data)
    patches.blank(start + len(data), end)


def _kinds(pieces: Pieces, iinf: Box) -> Iterator[tuple[int, bytes]]:
    """Yield number and type of each item (ISO/IEC 14496-12, 8.11.6)."""
    width = 4 if pieces.read(iinf.body, 1) != b"\0" else 2
    for box in boxes(pieces, iinf.body + 4 + width, iinf.end):
        head = _Reader(pieces.read(box.body, 14))
        version = head.number(1)
        head.number(3)
        if version < 2:
            raise ValueError("An item does not say its type.")
        number = head.number(2 if version == 2 else 4)
        head.number(2)
        yield number, head.take(4)


def _locations(pieces: Pieces, meta: Box) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield number and ranges in the file of each item (ISO/IEC 14496-12, 8.11.3)."""
    iloc = descend(pieces, meta, b"iloc")
    data = _Reader(pieces.read(iloc.body, iloc.end - iloc.body))
    version = data.number(1)
    data.number(3)
    widths = data.number(2)
    offset_width, length_width, base_width, index_width = (
        widths >> shift & 15 for shift in (12, 8, 4, 0)
    )
    for _ in range(data.number(4 if version == 2 else 2)):
        number = data.number(4 if version == 2 else 2)
        method = data.number(2) & 15 if version else _IN_FILE
        elsewhere, base = data.number(2), data.number(base_width)
        if method == _IN_IDAT:
            base += descend(pieces, meta, b"idat").body
        extents = []
        for _ in range(data.number(2)):
            data.number(index_width if version else 0)
            start = base + data.number(offset_width)
            extents.append((start, start + data.number(length_width)))
        # Such an item is made of others, or lies in another file: no range to overwrite.
        yield number, [] if elsewhere or method not in (_IN_FILE, _IN_IDAT) else extents


class _Reader:
    """Takes numbers off the front of some bytes; ValueError at their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, count: int) -> bytes:
        found = self._data[self._position : self._position + count]
        if len(found) < count:
            raise ValueError("A table is cut off.")
        self._position += count
        return found

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")
