"""What is made of each accepted medium besides its record."""

from dataclasses import dataclass
from typing import Final, Literal

Format = Literal["jpeg", "webp"]

THUMBNAIL: Final = "thumbnail"
"""What the thumbnail's file is called while it is made, and how its further sizes begin."""
STORYBOARD: Final = "storyboard"


@dataclass(frozen=True, slots=True)
class Recipe:
    """The derivatives of one installation.

    `thumbnail_sizes` are longest sides in pixels, each a picture beside the thumbnail.
    `storyboard` is the most tiles that a video's sprite has, 0 for none. `renditions` are
    the shorter sides, in pixels, of H.264 copies of videos; each may take
    `rendition_timeout_seconds` of wall clock.
    """

    thumbnail_format: Format = "jpeg"
    thumbnail_sizes: tuple[int, ...] = ()
    storyboard: int = 0
    renditions: tuple[int, ...] = ()
    rendition_timeout_seconds: float = 900.0
