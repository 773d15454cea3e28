"""What the uploader said about a file before anybody looked at it."""

import posixpath
from dataclasses import dataclass
from typing import Final

_FAMILIES: Final = {
    **dict.fromkeys(("avif", "gif", "heic", "heif", "jfif", "jpe", "jpeg", "jpg"), "image"),
    **dict.fromkeys(("bmp", "eps", "png", "svg", "tif", "tiff", "webp"), "image"),
    **dict.fromkeys(("3g2", "3gp", "avi", "m4v", "mkv", "mov", "mp4", "qt", "webm"), "video"),
    **dict.fromkeys(("aac", "m4a", "mp3", "oga", "opus", "wav"), "audio"),
}


@dataclass(frozen=True, slots=True)
class Declared:
    """The name and the content type a client gave, each None when it gave none."""

    file_name: str | None = None
    content_type: str | None = None

    def families(self) -> tuple[str, ...]:
        """Name the families claimed, such as ("video",): by content type, then by extension.

        `application/...` types and unknown extensions claim nothing.
        """
        typed = (self.content_type or "").partition("/")[0].strip().lower()
        suffix = posixpath.splitext(self.file_name or "")[1][1:].lower()
        named = _FAMILIES.get(suffix, "")
        return tuple(family for family in (typed, named) if family not in ("", "application"))
