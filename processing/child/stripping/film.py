"""MP4 and QuickTime: private boxes become free space, so that no picture or sound moves."""

from typing import Final

from processing.child.boxes import Box, Patches, boxes, descend
from processing.child.pieces import Pieces
from processing.child.stripping.samples import samples

_KEPT: Final = frozenset(
    (
        *(b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"ssix", b"pdin"),
        *(b"wide", b"meta", b"free"),
    )
)
_PRIVATE: Final = frozenset((b"udta", b"meta", b"uuid", b"free", b"skip"))
_TIMED: Final = frozenset((b"mvhd", b"tkhd", b"mdhd"))
_SHOWN: Final = frozenset((b"vide", b"soun", b"pict", b"auxv"))


def strip(pieces: Pieces) -> None:
    """Blank user data, metadata, times of creation, and tracks that are neither seen nor heard.

    What follows the last box is cut off: makers' trailers.
    """
    patches, end = Patches(pieces), 0
    for box in boxes(pieces, 0, pieces.size, trailer=True):
        end = box.end
        if box.name not in _KEPT or box.name in (b"free", b"meta"):
            patches.free(box)
    strip_movie(pieces, patches)
    patches.apply(end)


def strip_movie(pieces: Pieces, patches: Patches) -> None:
    """The same within the movie, where there is one; it comes before its fragments.

    ValueError when a track that would have to go lies in fragments.
    """
    hidden: set[int] = set()
    for box in boxes(pieces, 0, pieces.size, trailer=True):
        if box.name == b"moov":
            hidden |= _strip_moov(pieces, patches, box)
        elif box.name == b"moof":
            _check_fragment(pieces, box, hidden)


def _strip_moov(pieces: Pieces, patches: Patches, moov: Box) -> set[int]:
    """Blank what is private in it; the numbers of the tracks that were removed."""
    hidden = set()
    for box in boxes(pieces, moov.body, moov.end):
        if box.name == b"cmov":
            raise ValueError("The index is compressed.")
        if box.name in _PRIVATE:
            patches.free(box)
        elif box.name == b"mvhd":
            _forget_times(pieces, patches, box)
        elif box.name == b"trak" and _handler(pieces, box) not in _SHOWN:
            hidden.add(_number(pieces, box))
            for start, end in samples(pieces, box):
                patches.blank(start, end)
            patches.free(box)
        elif box.name == b"trak":
            _strip_track(pieces, patches, box)
    return hidden


def _strip_track(pieces: Pieces, patches: Patches, track: Box) -> None:
    for box in boxes(pieces, track.body, track.end):
        if box.name in _PRIVATE:
            patches.free(box)
        elif box.name in _TIMED:
            _forget_times(pieces, patches, box)
        elif box.name == b"mdia":
            _strip_track(pieces, patches, box)


def _check_fragment(pieces: Pieces, moof: Box, hidden: set[int]) -> None:
    for box in boxes(pieces, moof.body, moof.end):
        if box.name != b"traf":
            continue
        number = pieces.read(descend(pieces, box, b"tfhd").body + 4, 4)
        if int.from_bytes(number, "big") in hidden:
            raise ValueError("A track that is neither seen nor heard lies in fragments.")


def _forget_times(pieces: Pieces, patches: Patches, box: Box) -> None:
    """Blank the times of creation and modification, which stand behind version and flags."""
    long = pieces.read(box.body, 1) == b"\1"
    patches.blank(box.body + 4, box.body + (20 if long else 12))


def _handler(pieces: Pieces, track: Box) -> bytes:
    """What kind of track it is; it stands behind version, flags and four bytes of no use."""
    return pieces.read(descend(pieces, track, b"mdia", b"hdlr").body + 8, 4)


def _number(pieces: Pieces, track: Box) -> int:
    header = descend(pieces, track, b"tkhd")
    long = pieces.read(header.body, 1) == b"\1"
    return int.from_bytes(pieces.read(header.body + (20 if long else 12), 4), "big")
