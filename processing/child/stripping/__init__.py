"""Find what is private in a medium, and tell how the file reads without it.

Nothing is written or encoded anew here: the answer is a list of pieces of the old file, to be put
together outside.
"""

from typing import Any, Final

from processing.child.pieces import Pieces, Strip
from processing.child.refusal import Refused
from processing.child.stripping import ebml, film, gif, heif, jpeg, png, webp

NOT_REMOVABLE: Final = "metadata_not_removable"

_BY_TYPE: Final[dict[str, Strip]] = {
    "image/jpeg": jpeg.strip,
    "image/png": png.strip,
    "image/webp": webp.strip,
    "image/gif": gif.strip,
    "image/heic": heif.strip,
    "image/avif": heif.strip,
    "video/mp4": film.strip,
    "video/quicktime": film.strip,
    "video/webm": ebml.strip,
}


def strip(source: str, content_type: str) -> dict[str, Any]:
    """Return `{"pieces": [...]}`, of which the file without its private metadata is made.

    A piece is `["keep", start, end]`, a range of the file, `["put", base64]`, other bytes, or
    `["zero", count]`, so many zeros. Raises `Refused` with `metadata_not_removable` when the
    structure is one in which private data may hide.
    """
    with open(source, "rb") as file:
        pieces = Pieces(file)
        try:
            _BY_TYPE[content_type](pieces)
        except (ValueError, IndexError, RecursionError) as error:
            raise Refused(NOT_REMOVABLE, str(error)) from error
    return {"pieces": pieces.found}
