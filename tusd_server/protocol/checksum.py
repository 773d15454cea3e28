"""Upload-Checksum and Repr-Digest: digests in headers and trailers."""

import base64
import binascii
import re

from tusd_server.errors import BadHeader, UnknownChecksum
from tusd_server.hashing import ALGORITHMS, Checksum

_DIGEST_BYTES = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64, "crc32": 4}
_HEX_SHA256 = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
# "Repr-Digest: sha-256=:<base64>:", a dictionary of which we use this one member.
# https://www.rfc-editor.org/rfc/rfc9530#section-3
_REPR_DIGEST = re.compile(r"(?:^|,)[ \t]*sha-256=:([0-9A-Za-z+/=]*):[ \t]*(?=,|;|$)", re.ASCII)


def parse_checksum(text: str) -> Checksum:
    """Read the value of Upload-Checksum.

    "The header MUST consist of the name of the used checksum algorithm and the Base64 encoded
    checksum separated by a space." Raises UnknownChecksum or BadHeader.
    """
    algorithm, _, encoded = text.partition(" ")
    if algorithm not in ALGORITHMS:
        raise UnknownChecksum(
            "Upload-Checksum names an algorithm that is not offered; "
            f"use one of {', '.join(ALGORITHMS)}."
        )
    digest = _decoded(encoded, "Upload-Checksum")
    if len(digest) != _DIGEST_BYTES[algorithm]:
        raise BadHeader(
            f"Upload-Checksum has {len(digest)} bytes; {algorithm} has {_DIGEST_BYTES[algorithm]}."
        )
    return Checksum(algorithm, digest)


def parse_repr_digest(text: str) -> str | None:
    """The sha-256 of a Repr-Digest in hexadecimal; None when it has only other algorithms."""
    match = _REPR_DIGEST.search(text)
    if match is None:
        return None
    digest = _decoded(match[1], "Repr-Digest")
    if len(digest) != _DIGEST_BYTES["sha256"]:
        raise BadHeader(f"Repr-Digest has {len(digest)} bytes; sha-256 has 32.")
    return digest.hex()


def parse_declared_sha256(text: str) -> str:
    """The `sha256` of Upload-Metadata: 64 hexadecimal digits."""
    if _HEX_SHA256.fullmatch(text) is None:
        raise BadHeader("The metadata sha256 must be 64 hexadecimal digits.")
    return text.lower()


def _decoded(encoded: str, name: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise BadHeader(f"{name} has a digest that is not base64.") from None
