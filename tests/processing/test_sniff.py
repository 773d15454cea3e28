import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processing.sniff import (
    AVIF,
    GIF,
    HEAD_BYTES,
    HEIC,
    JPEG,
    KINDS,
    MOV,
    MP4,
    PNG,
    WEBM,
    WEBP,
    Kind,
    sniff,
)
from tests import media


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = major + b"\0\0\2\0" + b"".join(compatible)
    return struct.pack(">I", 8 + len(body)) + b"ftyp" + body + b"\0\0\0\x08free"


def ebml(doc_type: bytes) -> bytes:
    elements = b"\x42\x86\x81\x01" + b"\x42\x82" + bytes([0x80 | len(doc_type)]) + doc_type
    return b"\x1a\x45\xdf\xa3" + bytes([0x80 | len(elements)]) + elements


KNOWN = [
    (b"\xff\xd8\xff\xe0\0\x10JFIF", JPEG),
    (b"\xff\xd8\xff\xe1\0\x10Exif", JPEG),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", PNG),
    (b"GIF87a....", GIF),
    (b"GIF89a....", GIF),
    (b"RIFF\0\0\0\0WEBPVP8 ", WEBP),
    (b"RIFF\0\0\0\0WEBPVP8L", WEBP),
    (b"RIFF\0\0\0\0WEBPVP8X", WEBP),
    (ftyp(b"heic", b"mif1", b"heic"), HEIC),
    (ftyp(b"heix", b"mif1"), HEIC),
    (ftyp(b"hevc", b"msf1"), HEIC),
    (ftyp(b"mif1", b"mif1", b"heic"), HEIC),
    (ftyp(b"msf1", b"hevc"), HEIC),
    (ftyp(b"mif1"), HEIC),
    (ftyp(b"avif", b"mif1", b"miaf"), AVIF),
    (ftyp(b"avis", b"msf1", b"iso8"), AVIF),
    (ftyp(b"mif1", b"avif", b"miaf"), AVIF),
    (ftyp(b"isom", b"iso2", b"avc1", b"mp41"), MP4),
    (ftyp(b"mp42", b"isom"), MP4),
    (ftyp(b"iso6", b"dash"), MP4),
    (ftyp(b"dash", b"iso6"), MP4),
    (ftyp(b"M4V ", b"mp42"), MP4),
    (ftyp(b"MSNV", b"mp42"), MP4),
    (ftyp(b"3gp5", b"isom", b"3gp4"), MP4),
    (ftyp(b"zzzz", b"isom"), MP4),
    (ftyp(b"qt  "), MOV),
    (ftyp(b"zzzz", b"qt  "), MOV),
    (b"\0\0\0\x08wide\0\0\x01\0mdat", MOV),
    (b"\0\0\x01\0moov\0\0\0\x6cmvhd", MOV),
    (b"\0\0\0\x01mdat\0\0\0\0\0\1\0\0", MOV),
    (b"\0\0\0\x08free\0\0\x01\0mdat", MOV),
    (ebml(b"webm"), WEBM),
]

UNKNOWN = {
    "nothing": b"",
    "zeros": b"\0" * 64,
    "text": b"This is no video.\n",
    "HLS": b"#EXTM3U\n#EXTINF:5.0,\nhttp://127.0.0.1/a.ts\n",
    "DASH": b'<?xml version="1.0"?><MPD></MPD>',
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "HTML": b"<!doctype html><script>",
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "PDF": b"%PDF-1.7\n",
    "ffconcat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "Matroska": ebml(b"matroska"),
    "EBML without a type": b"\x1a\x45\xdf\xa3\x80",
    "EBML cut short": b"\x1a\x45\xdf\xa3\x9f\x42\x82",
    "WAV": b"RIFF\0\0\0\0WAVEfmt ",
    "AVI": b"RIFF\0\0\0\0AVI LIST",
    "WebP cut short": b"RIFF\0\0\0\0WEBPVP8",
    "BMP": b"BM\0\0\0\0\0\0\0\0",
    "TIFF": b"II*\0\x08\0\0\0",
    "ZIP": b"PK\3\4",
    "sound in MP4": ftyp(b"M4A ", b"mp42", b"isom"),
    "Canon raw": ftyp(b"crx ", b"isom"),
    "3GP of its own brand alone": ftyp(b"3gp5", b"3gp4"),
    "unknown brand": ftyp(b"zzzz", b"yyyy"),
    "ftyp of eight bytes": b"\0\0\0\x08ftyp\0\0\0\0",
    "moov of impossible size": b"\0\0\0\x05moov",
    "PNG signature without IHDR": b"\x89PNG\r\n\x1a\n\0\0\0\rABCD",
    "MP3": b"ID3\4\0",
}


@pytest.mark.parametrize(("head", "kind"), KNOWN)
def test_known_heads(head: bytes, kind: Kind) -> None:
    assert sniff(head) == kind


@pytest.mark.parametrize("name", UNKNOWN)
def test_heads_that_are_no_media(name: str) -> None:
    assert sniff(UNKNOWN[name]) is None


MADE = [
    (media.make_jpeg, JPEG),
    (media.make_png, PNG),
    (media.make_webp, WEBP),
    (media.make_animated_gif, GIF),
    (media.make_heic, HEIC),
    (media.make_avif, AVIF),
    (media.make_mp4, MP4),
    (media.make_fragmented_mp4, MP4),
    (media.make_mov, MOV),
    (media.make_webm, WEBM),
    (media.make_matroska, None),
    (media.make_eps, None),
]


@pytest.mark.parametrize(("make", "kind"), MADE)
def test_files_made_by_real_encoders(tmp_path, make, kind) -> None:
    with make(tmp_path / "file").open("rb") as file:
        assert sniff(file.read(HEAD_BYTES)) == kind


def test_every_kind_is_in_the_table_of_known_heads() -> None:
    assert {kind for _, kind in KNOWN} == set(KINDS)


MAGIC = (b"", b"\x1a\x45\xdf\xa3", b"RIFF....WEBP", b"\0\0\0\x20ftyp", b"\x89PNG\r\n\x1a\n")


@given(st.sampled_from(MAGIC), st.binary(max_size=200))
@example(b"\x1a\x45\xdf\xa3", b"\x01" + b"\xff" * 20)
def test_any_bytes_are_judged_without_an_error(magic: bytes, tail: bytes) -> None:
    assert sniff(magic + tail) in (None, *KINDS)
