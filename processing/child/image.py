"""Measure an image and make its small pictures, in one pass over the untrusted bytes."""

import base64
import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final

from PIL import AvifImagePlugin, Image, ImageCms, ImageFile, UnidentifiedImageError

from processing.child.refusal import Refused
from processing.pictures import encoded, on_white, placeholder, shrunk
from processing.recipe import Format

_FORMATS: Final = {
    # Phones' multi-picture JPEGs open as JPEG too; "MPO" is no name that `formats` takes.
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/heic": "HEIF",
    "image/avif": "AVIF",
}
_ORIENTATION_TAG = 0x0112
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_CLOCKWISE: Final = {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}
# Each thread reserves address space, of which there is a fixed amount.
_THREADS: Final = 2


def examine(
    source: str,
    content_type: str,
    min_side: int,
    max_side: int,
    sides: Sequence[int],
    form: Format = "jpeg",
) -> dict[str, Any]:
    """Return `width`, `height` as displayed, `rotation`, `thumbhash` and `pictures`.

    There is one picture for each of `sides`, its longest side at most that long, as
    `{"data": base64, "width", "height"}`. There is none, nor a hash, when a side of the image is
    outside `min_side`..`max_side`: such an image is never decoded. Raises `Refused` with
    `truncated`, `unreadable` or `unprocessable`.
    """
    name = _prepare(content_type, max_side)
    with open(source, "rb") as file, _blaming_the_medium():
        width, height = _size(file, name)
        if min(width, height) < min_side or max(width, height) > max_side:
            return _answer(width, height)
        image = Image.open(file, formats=(name,))
        image.draft("RGB", (max(sides), max(sides)))
        image.load()
        orientation = _orientation(image)
        large = _shrunk(image, max(sides), keep_alpha=form == "webp")
    # Turning after shrinking halves the time.
    if orientation in _TURNS:
        large = large.transpose(_TURNS[orientation])
    if orientation >= 5:
        width, height = height, width
    return _answer(
        width,
        height,
        rotation=_CLOCKWISE.get(orientation, 0),
        pictures=[_picture(shrunk(large, side), form) for side in sides],
        thumbhash=placeholder(large),
    )


def _answer(
    width: int,
    height: int,
    rotation: int = 0,
    pictures: Sequence[dict[str, Any]] = (),
    thumbhash: str | None = None,
) -> dict[str, Any]:
    return {
        "width": width,
        "height": height,
        "rotation": rotation,
        "pictures": pictures,
        "thumbhash": thumbhash,
    }


@contextlib.contextmanager
def _blaming_the_medium() -> Iterator[None]:
    """Turn whatever a decoder raises into `Refused`; errors of the disk stay what they are."""
    try:
        yield
    except MemoryError as error:
        raise Refused("unprocessable", "out of memory") from error
    except UnidentifiedImageError as error:
        raise Refused("unreadable", str(error)) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        code = "truncated" if "truncated" in str(error).lower() else "unreadable"
        raise Refused(code, f"{type(error).__name__}: {error}") from error


def _prepare(content_type: str, max_side: int) -> str:
    Image.MAX_IMAGE_PIXELS = max_side * max_side
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    AvifImagePlugin.DEFAULT_MAX_THREADS = _THREADS
    if content_type == "image/heic":
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False, decode_threads=_THREADS)
    return _FORMATS[content_type]


def _size(file: BinaryIO, name: str) -> tuple[int, int]:
    """Read the stored size alone, of bombs too, so that the refusal can name it."""
    if name == "WEBP":
        return _webp_size(file.read(30))
    try:
        return Image.open(file, formats=(name,)).size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        file.seek(0)
        bomb: ImageFile.ImageFile = Image.OPEN[name][0](file, "")
        return bomb.size


def _webp_size(head: bytes) -> tuple[int, int]:
    """Read the header (RFC 9649, 2.5-2.7): Pillow takes memory for the canvas when it opens."""
    if head[12:16] == b"VP8X":
        sides = head[24:27], head[27:30]
        width, height = (int.from_bytes(side, "little") + 1 for side in sides)
    elif head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        sides = head[26:28], head[28:30]
        width, height = (int.from_bytes(side, "little") & 0x3FFF for side in sides)
    return width, height


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # broken EXIF is common, and no reason to refuse a picture
        return 1
    return value if value in _TURNS else 1


def _shrunk(image: Image.Image, side: int, *, keep_alpha: bool) -> Image.Image:
    """Return a new sRGB image, RGB or RGBA, no side longer than `side`."""
    profile = image.info.get("icc_profile")
    small = _resizable(image)
    small.thumbnail((side, side), reducing_gap=2.0)
    if small.mode == "RGBA" and not keep_alpha:
        small = on_white(small)
    small = _in_srgb(small, profile)
    return small if small.mode == "RGBA" else small.convert("RGB")


def _resizable(image: Image.Image) -> Image.Image:
    """Turn modes that resize badly into ones that resize well."""
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N"):
        # convert() clips 16 bits to 8 instead of scaling them, which leaves a white picture.
        high = 0 if image.mode == "I;16B" else 1
        return Image.frombytes("L", image.size, image.tobytes()[high::2])
    if image.mode in ("I", "F"):
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("P", "PA", "LA", "La", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA")
    return image


def _in_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Convert by the embedded profile, for derivatives carry none; a broken one is ignored."""
    if not isinstance(profile, bytes) or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image
    wanted = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode=wanted,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    return converted or image


def _picture(image: Image.Image, form: Format) -> dict[str, Any]:
    data = base64.b64encode(encoded(image, form)).decode("ascii")
    return {"data": data, "width": image.width, "height": image.height}
