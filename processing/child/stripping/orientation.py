"""The one thing worth keeping of EXIF: which way up a picture is."""

import struct
from typing import Final

from PIL import Image

from processing.child.pieces import Pieces

_TAG: Final = 0x0112
_SHORT: Final = 3


def orientation(pieces: Pieces, form: str) -> int:
    """Read it as the decoder of thumbnails does; 1 is upright, as is one that cannot be read."""
    try:
        with Image.open(pieces.file, formats=(form,)) as image:
            value = image.getexif().get(_TAG, 1)
    except Exception:  # broken EXIF is common, and goes anyway
        return 1
    return value if value in range(2, 9) else 1


def smallest_exif(value: int) -> bytes:
    """TIFF data with the orientation alone."""
    entry = struct.pack(">HHIHH", _TAG, _SHORT, 1, value, 0)
    return b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
