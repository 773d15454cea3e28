"""Upload-Checksum, Repr-Digest and the declared sha256, as text."""

import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusd_server.errors import BadHeader, UnknownChecksum, UploadError
from tusd_server.hashing import ALGORITHMS, Checksum
from tusd_server.protocol.checksum import (
    parse_checksum,
    parse_declared_sha256,
    parse_repr_digest,
)

HELLO = b"hello world"
SHA256 = hashlib.sha256(HELLO).hexdigest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


REPR_DIGEST = f"sha-256=:{b64(hashlib.sha256(HELLO).digest())}:"


def test_the_example_of_the_specification() -> None:
    """The header MUST consist of the name of the used checksum algorithm and the Base64 encoded
    checksum separated by a space."""
    assert parse_checksum("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=") == Checksum(
        "sha1", hashlib.sha1(HELLO).digest()
    )


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
def test_the_algorithms_of_hashlib(algorithm: str) -> None:
    digest = hashlib.new(algorithm, HELLO).digest()
    assert parse_checksum(f"{algorithm} {b64(digest)}") == Checksum(algorithm, digest)


def test_crc32_is_four_bytes_with_the_high_one_first() -> None:
    digest = zlib.crc32(HELLO).to_bytes(4, "big")
    assert parse_checksum(f"crc32 {b64(digest)}") == Checksum("crc32", digest)


@pytest.mark.parametrize("name", ["SHA1", "sha-1", "sha384", "", "crc32c", "sha1,md5", "sha1\t"])
def test_an_algorithm_that_is_not_offered(name: str) -> None:
    with pytest.raises(UnknownChecksum) as unknown:
        parse_checksum(f"{name} Kq5sNclPz7QV2+lfQIuc6R7oRu0=")
    assert all(algorithm in unknown.value.message for algorithm in ALGORITHMS)


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "=",
        " Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
        "Kq5sNclPz7QV2+lfQIuc6R7oRu0= ",
        "Kq5sNclPz7QV2+lfQIuc6R7oRu0",
        "Kq5sNclPz7QV2-lfQIuc6R7oRu0=",
        "Kq5sNclPz7QV2+lfQIuc6R7oRu0=AAAA",
        "Kq5sNclPz7QV2+lf QIuc6R7oRu0=",
        hashlib.sha1(HELLO).hexdigest(),
        b64(hashlib.md5(HELLO).digest()),
        b64(hashlib.sha1(HELLO).digest() + b"\0"),
        "Ä" * 28,
    ],
)
def test_a_digest_that_is_none(digest: str) -> None:
    with pytest.raises(BadHeader, match=r"^Upload-Checksum has .+\.$"):
        parse_checksum(f"sha1 {digest}")


@given(st.text(max_size=80))
def test_whatever_comes_as_a_checksum(text: str) -> None:
    for parse in (parse_checksum, lambda digest: parse_checksum(f"sha1 {digest}")):
        try:
            checksum = parse(text)
        except UploadError:
            continue
        assert checksum.start().digest() != b""


@pytest.mark.parametrize(
    "text",
    [
        REPR_DIGEST,
        f"  {REPR_DIGEST}",
        f"{REPR_DIGEST} ",
        f"{REPR_DIGEST};a=1",
        f"sha-512=:{b64(b'x' * 64)}:, {REPR_DIGEST}",
        f"{REPR_DIGEST},sha-512=:{b64(b'x' * 64)}:",
    ],
)
def test_a_repr_digest(text: str) -> None:
    assert parse_repr_digest(text) == SHA256


@pytest.mark.parametrize(
    "text", ["", f"sha-512=:{b64(b'x' * 64)}:", f"md5=:{b64(b'x' * 16)}:", "sha-256=7", "nothing"]
)
def test_a_repr_digest_of_another_algorithm_is_not_used(text: str) -> None:
    """RFC 9530: unknown or unsuitable digests are ignored."""
    assert parse_repr_digest(text) is None


@pytest.mark.parametrize("text", ["sha-256=:AAAA:", "sha-256=::", "sha-256=:A:"])
def test_a_repr_digest_that_cannot_be_one(text: str) -> None:
    with pytest.raises(BadHeader, match=r"^Repr-Digest has "):
        parse_repr_digest(text)


@given(st.text(max_size=80))
def test_whatever_comes_as_a_repr_digest(text: str) -> None:
    for said in (text, f"sha-256=:{text}:"):
        try:
            digest = parse_repr_digest(said)
        except BadHeader:
            continue
        assert digest is None or len(digest) == 64


@pytest.mark.parametrize("text", [SHA256, SHA256.upper()])
def test_a_declared_sha256(text: str) -> None:
    assert parse_declared_sha256(text) == SHA256


@pytest.mark.parametrize("text", ["", SHA256[1:], f"{SHA256}0", f"{SHA256}\n", "g" * 64, "٣" * 64])
def test_a_declared_sha256_that_is_none(text: str) -> None:
    with pytest.raises(BadHeader, match="64 hexadecimal digits"):
        parse_declared_sha256(text)
