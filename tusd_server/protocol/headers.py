"""What the headers of tus 1.0 may hold; each rule stands under its sentence."""

import re
from typing import Protocol

from tusd_server.errors import BadHeader

VERSION = "1.0.0"
OFFSET_OCTET_STREAM = "application/offset+octet-stream"

# The largest length that a file offset can hold on every platform (a signed 64-bit number).
MAX_NUMBER = 2**63 - 1


class Headers(Protocol):
    """A case-insensitive mapping of header names to text."""

    def get(self, name: str, /) -> str | None:
        """The header's value, or None; repeated headers are joined by commas."""


# "Upload-Length ... The value MUST be a non-negative integer." `int()` is no judge of that: it
# also reads `+5`, `1_0`, ` 7 ` and digits of other scripts.
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)


def number(name: str, text: str) -> int:
    """Read a non-negative integer below 2**63; raises BadHeader and names the header."""
    if _NUMBER.fullmatch(text) is None or (value := int(text)) > MAX_NUMBER:
        raise BadHeader(
            f"{name} is {_shown(text)}; it must be one non-negative whole number below 2^63."
        )
    return value


def required_number(headers: Headers, name: str) -> int:
    """Read a header that must be there and be a number."""
    text = headers.get(name)
    if text is None:
        raise BadHeader(f"{name} is missing; it must be a non-negative whole number of bytes.")
    return number(name, text)


def _shown(text: str) -> str:
    """A client's own text for an error sentence: short, ASCII, on one line."""
    return ascii(text if len(text) <= 40 else text[:40] + "...")
