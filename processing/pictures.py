"""Pictures that have been decoded: made smaller, written as JPEG or WebP, put into a hash."""

import base64
import io
from typing import Final

from PIL import Image

from processing.recipe import Format
from processing.thumbhash import thumbhash

EXTENSIONS: Final = {"jpeg": ".jpg", "webp": ".webp"}
JPEG_QUALITY: Final = 80
WEBP_QUALITY: Final = 75
# The hash holds seven waves a side at most; from 100 px it would be the same and take 25 ms.
PLACEHOLDER_SIDE: Final = 32


def encoded(image: Image.Image, form: Format) -> bytes:
    """The file: nothing but pixels, for what else an image carries may be private.

    Transparency is kept in WebP and lies on white in JPEG.
    """
    bare = image.copy()
    # Saving would carry a JPEG comment, EXIF or a profile over.
    bare.info = {}
    buffer = io.BytesIO()
    if form == "webp":
        bare.save(buffer, "WEBP", quality=WEBP_QUALITY)
    else:
        on_white(bare).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def shrunk(image: Image.Image, side: int) -> Image.Image:
    """A copy with no side longer than `side`; never larger than it was."""
    small = image.copy()
    small.thumbnail((side, side), reducing_gap=2.0)
    return small


def on_white(image: Image.Image) -> Image.Image:
    """Put a translucent image on white: dropping alpha would show the colours hidden under it."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def placeholder(image: Image.Image) -> str:
    """The image's ThumbHash in base64, as browsers' decoders take it."""
    small = shrunk(image, PLACEHOLDER_SIDE).convert("RGBA")
    return base64.b64encode(thumbhash(small.width, small.height, small.tobytes())).decode("ascii")
