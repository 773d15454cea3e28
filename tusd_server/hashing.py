"""Checksums of the checksum extension, worked out while bytes stream by."""

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tusd_server.errors import ChecksumMismatch


class Hash(Protocol):
    """The part of hashlib's objects that we need."""

    def update(self, data: memoryview | bytes, /) -> None:
        """Take in more bytes."""

    def digest(self) -> bytes:
        """The digest of all bytes so far."""


class Crc32:
    """CRC-32 (IEEE 802.3) in the shape of a hash; its digest is 4 bytes, big-endian."""

    def __init__(self) -> None:
        """Start with no bytes."""
        self._value = 0

    def update(self, data: memoryview | bytes, /) -> None:
        """See Hash."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """See Hash."""
        return self._value.to_bytes(4, "big")


# Checksums against damage on the way, not against forgery: the client chooses what it can.
ALGORITHMS: dict[str, Callable[[], Hash]] = {
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "crc32": Crc32,
}


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the client says that the digest of one body is."""

    algorithm: str
    digest: bytes

    def start(self) -> Hash:
        """A hash of the right algorithm."""
        return ALGORITHMS[self.algorithm]()

    def check(self, hashed: Hash) -> None:
        """Raise ChecksumMismatch unless the hash came out as the client said."""
        if hashed.digest() != self.digest:
            raise ChecksumMismatch(
                f"The body does not have the {self.algorithm} checksum of Upload-Checksum; "
                "it was discarded, send it again."
            )
