"""Metadata: the value of the Upload-Metadata header."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from tusd_server.errors import BadHeader

# "The key MUST NOT contain spaces and commas and MUST NOT be empty. The key SHOULD be ASCII
# encoded and the value MUST be Base64 encoded. All keys MUST be unique."
# https://tus.io/protocols/resumable-upload#upload-metadata
_KEY = re.compile(r"[!-+\--~]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Pairs of a key and bytes, in the header's order; None is a key without a value."""

    pairs: tuple[tuple[str, bytes | None], ...] = ()

    @classmethod
    def from_header(cls, header: str) -> "Metadata":
        """Read the header; an empty one is empty metadata, as tuspy and go-tus send it.

        Raises BadHeader for an empty or repeated key, and for a value that is not base64.
        """
        return _parse(header)

    @classmethod
    def from_text(cls, values: Mapping[str, str]) -> "Metadata":
        """Make metadata of text values; keys that no header can carry are left out."""
        return cls(
            tuple((key, text.encode()) for key, text in values.items() if _KEY.fullmatch(key))
        )

    def with_more(self, more: "Metadata") -> "Metadata":
        """With those pairs of `more` whose key is not there yet."""
        known = {key for key, _ in self.pairs}
        return Metadata(self.pairs + tuple(pair for pair in more.pairs if pair[0] not in known))

    def to_header(self) -> str:
        """The header that reads back as the same pairs."""
        return ",".join(
            key if value is None else f"{key} {base64.b64encode(value).decode('ascii')}"
            for key, value in self.pairs
        )

    def to_text(self) -> dict[str, str]:
        """All pairs as text, as tusd shows them; bytes that are not UTF-8 are replaced."""
        return {key: (value or b"").decode("utf-8", "replace") for key, value in self.pairs}

    def text(self, *keys: str) -> str | None:
        """The first of these keys that has a value, as text."""
        values = dict(self.pairs)
        for key in keys:
            value = values.get(key)
            if value:
                return value.decode("utf-8", "replace")
        return None

    def __iter__(self) -> Iterator[tuple[str, bytes | None]]:
        return iter(self.pairs)


# One upload's header is read several times within a request, and an upload takes a few requests.
@lru_cache(maxsize=256)
def _parse(header: str) -> Metadata:
    if not header.strip():
        return Metadata()
    pairs = tuple(_pair(part.strip(" ")) for part in header.split(","))
    if len({key for key, _ in pairs}) != len(pairs):
        raise BadHeader("Upload-Metadata repeats a key; every key must be unique.")
    return Metadata(pairs)


def _pair(part: str) -> tuple[str, bytes | None]:
    key, blank, encoded = part.partition(" ")
    if _KEY.fullmatch(key) is None:
        raise BadHeader(
            "Upload-Metadata has a key that is empty or not plain ASCII; "
            "each pair must be a key, a blank and a base64 value."
        )
    if not blank:
        return key, None
    try:
        return key, base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise BadHeader(
            f"Upload-Metadata has a value for {key!r} that is not base64; "
            "each value must be base64 with padding."
        ) from None
