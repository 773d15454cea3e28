"""The hashes of the checksum extension."""

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusd_server.errors import ChecksumMismatch
from tusd_server.hashing import ALGORITHMS, Checksum, Crc32

HELLO = b"hello world"
KNOWN = {
    "md5": "5eb63bbbe01eeed093cb22bb8f5acdc3",
    "sha1": "2aae6c35c94fcfb415dbe95f408b9ce91ee846ed",
    "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
    "sha512": "309ecc489c12d6eb4cc40f50c902f2b4d0ed77ee511a7c7a9bcd3ca86d4cd86f"
    "989dd35bc5ff499670da34255b45b0cfd830e81f605dcf7dc5542e93ae9cd76f",
    "crc32": "0d4a1185",
}


def test_sha1_is_among_them() -> None:
    """The Server MUST support at least the SHA1 checksum algorithm identified by sha1. The names of
    the checksum algorithms MUST only consist of ASCII characters with the modification that
    uppercase characters are excluded."""
    assert set(ALGORITHMS) == set(KNOWN)
    assert all(name.isascii() and name == name.lower() for name in ALGORITHMS)


@pytest.mark.parametrize("algorithm", KNOWN)
def test_a_body_in_pieces(algorithm: str) -> None:
    checksum = Checksum(algorithm, bytes.fromhex(KNOWN[algorithm]))
    hashed = checksum.start()
    for at in range(len(HELLO)):
        hashed.update(memoryview(HELLO)[at : at + 1])
    checksum.check(hashed)


@pytest.mark.parametrize("algorithm", KNOWN)
def test_a_body_that_was_damaged(algorithm: str) -> None:
    checksum = Checksum(algorithm, bytes.fromhex(KNOWN[algorithm]))
    hashed = checksum.start()
    hashed.update(b"hello World")
    with pytest.raises(ChecksumMismatch, match=algorithm):
        checksum.check(hashed)


def test_two_bodies_have_hashes_of_their_own() -> None:
    checksum = Checksum("crc32", bytes.fromhex(KNOWN["crc32"]))
    checksum.start().update(b"another body")
    hashed = checksum.start()
    hashed.update(HELLO)
    checksum.check(hashed)


def test_a_body_of_no_bytes() -> None:
    assert ALGORITHMS["crc32"]().digest() == bytes(4)
    assert ALGORITHMS["sha1"]().digest() == hashlib.sha1().digest()


@given(st.lists(st.binary(max_size=50)))
def test_crc32_whatever_the_pieces(pieces: list[bytes]) -> None:
    hashed = Crc32()
    for piece in pieces:
        hashed.update(piece)
    assert hashed.digest() == zlib.crc32(b"".join(pieces)).to_bytes(4, "big")
