"""What a file is, told from its first bytes alone; its name and declared type are not asked.

The list is closed: what is not named here is not a medium. Only binary signatures are known, so
every text format that makes a decoder open other files (HLS, DASH, SVG, EPS) is refused here,
before any decoder sees it.
"""

from dataclasses import dataclass
from typing import Final, Literal

HEAD_BYTES: Final = 4096
"""How many first bytes `sniff` wants; fewer are enough when the file is shorter."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A whitelisted type: its family, its content type and its extension with the dot."""

    media_type: Literal["image", "video"]
    content_type: str
    extension: str


JPEG: Final = Kind("image", "image/jpeg", ".jpg")
PNG: Final = Kind("image", "image/png", ".png")
WEBP: Final = Kind("image", "image/webp", ".webp")
GIF: Final = Kind("image", "image/gif", ".gif")
HEIC: Final = Kind("image", "image/heic", ".heic")
AVIF: Final = Kind("image", "image/avif", ".avif")
MP4: Final = Kind("video", "video/mp4", ".mp4")
MOV: Final = Kind("video", "video/quicktime", ".mov")
WEBM: Final = Kind("video", "video/webm", ".webm")

KINDS: Final = (JPEG, PNG, WEBP, GIF, HEIC, AVIF, MP4, MOV, WEBM)

_EBML = b"\x1a\x45\xdf\xa3"
_DOC_TYPE = 0x4282

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_HEIF_BRANDS = {b"mif1", b"mif2", b"msf1", b"miaf"}
_MOV_BRANDS = {b"qt  "}
_MP4_BRANDS = {
    *(b"iso" + bytes([digit]) for digit in b"m23456789abc"),
    *(b"mp41", b"mp42", b"mp71", b"avc1", b"hvc1", b"hev1", b"av01"),
    *(b"M4V ", b"M4VH", b"M4VP", b"f4v ", b"F4V ", b"MSNV", b"XAVC"),
    *(b"dash", b"msdh", b"msix", b"cmfc", b"cmf2", b"cmff", b"piff"),
}
# Sound, books and raw photographs that also list an MP4 brand among the compatible ones.
_FOREIGN_BRANDS = {b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ", b"aax ", b"crx "}
# A QuickTime file older than `ftyp` starts with one of these.
_FIRST_BOXES_OF_MOV = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}


def sniff(head: bytes) -> Kind | None:
    """Tell the kind of a file by its first `HEAD_BYTES` bytes; None is not a whitelisted type."""
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        return PNG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if head.startswith(b"RIFF") and head[8:16] in (b"WEBPVP8 ", b"WEBPVP8L", b"WEBPVP8X"):
        return WEBP
    if head.startswith(_EBML):
        return WEBM if _doc_type(head) == b"webm" else None
    return _boxed(head)


def _boxed(head: bytes) -> Kind | None:
    size, name = int.from_bytes(head[:4], "big"), head[4:8]
    if name == b"ftyp" and size >= 16 and len(head) >= 16:
        brands = head[16 : min(size, len(head)) // 4 * 4]
        return _branded(head[8:12], {brands[i : i + 4] for i in range(0, len(brands), 4)})
    plausible = size in (0, 1) or size >= 8
    return MOV if name in _FIRST_BOXES_OF_MOV and plausible else None


def _branded(major: bytes, compatible: set[bytes]) -> Kind | None:
    """Judge the brands of an ISO base media file (ISO/IEC 14496-12, 4.3).

    The major brand decides when it is a known one. A generic image brand (mif1) and an unknown
    one are decided by the compatible brands. So a 3GP file is MP4 only when it says itself that
    an MP4 reader may read it (isom, mp42, ...), as Android's recorders do.
    """
    if major in _FOREIGN_BRANDS:
        return None
    if major not in _HEIF_BRANDS and (kind := _by_brand({major})):
        return kind
    return _by_brand(compatible) or _by_brand({major})


def _by_brand(brands: set[bytes]) -> Kind | None:
    if brands & _AVIF_BRANDS:
        return AVIF
    if brands & (_HEIC_BRANDS | _HEIF_BRANDS):
        return HEIC
    if brands & _MP4_BRANDS:
        return MP4
    return MOV if brands & _MOV_BRANDS else None


def _doc_type(head: bytes) -> bytes | None:
    """Read the DocType of an EBML header (RFC 8794, 11.2); None when there is none in `head`."""
    position, (size, width) = 4, vint(head[4:12])
    position += width
    end = min(position + size, len(head))
    while position < end and width:
        id_width = 9 - max(head[position].bit_length(), 1)
        element = int.from_bytes(head[position : position + id_width], "big")
        position += id_width
        size, width = vint(head[position : position + 8])
        position += width
        if element == _DOC_TYPE:
            return head[position : position + size].rstrip(b"\0")
        position += size
    return None


def vint(data: bytes) -> tuple[int, int]:
    """Read an EBML variable-size integer (RFC 8794, 4): its value and its width, 0 if broken."""
    if not data or not data[0]:
        return 0, 0
    width = 9 - data[0].bit_length()
    if len(data) < width:
        return 0, 0
    return int.from_bytes(data[:width], "big") & ((1 << 7 * width) - 1), width
