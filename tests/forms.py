"""multipart/form-data by hand, so that tests decide about every byte and the order of the parts."""

from collections.abc import Iterable

BOUNDARY = "a-boundary-of-the-tests"
FORM = f"multipart/form-data; boundary={BOUNDARY}"

Field = tuple[str, str]
File = tuple[str, bytes, str, str | None]
"""Name, content, file name, and the part's own Content-Type."""


def form(*parts: Field | File) -> bytes:
    """The body of a form with these parts, in this order."""
    return b"".join(_part(part) for part in parts) + f"--{BOUNDARY}--\r\n".encode()


def _part(part: Field | File) -> bytes:
    return head_of(part) + content_of(part) + b"\r\n"


def head_of(part: Field | File) -> bytes:
    """The boundary before a part and the part's head."""
    disposition = f'form-data; name="{part[0]}"'
    lines: Iterable[str] = (f"Content-Disposition: {disposition}",)
    if len(part) == 4:
        lines = (f'Content-Disposition: {disposition}; filename="{part[2]}"',)
        if part[3] is not None:
            lines = (*lines, f"Content-Type: {part[3]}")
    return "\r\n".join([f"--{BOUNDARY}", *lines, "", ""]).encode()


def content_of(part: Field | File) -> bytes:
    return part[1].encode() if isinstance(part[1], str) else part[1]


def file(content: bytes, name: str = "clip.mp4", kind: str | None = "video/mp4") -> File:
    """The file of `upload/simple`."""
    return ("file", content, name, kind)


def image(content: bytes, name: str = "a.gif", kind: str | None = "image/gif") -> File:
    """One of the files of `upload/images`."""
    return ("images", content, name, kind)
