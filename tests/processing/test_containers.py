import struct
from pathlib import Path

import pytest

from processing.containers import is_truncated
from processing.sniff import HEAD_BYTES, MP4, sniff
from tests import media

MAKERS = {
    "front": media.make_mp4,
    "back": lambda path: media.make_mp4(path, front=False),
    "fragmented": media.make_fragmented_mp4,
    "mov": media.make_mov,
    "webm": media.make_webm,
    "heic": media.make_heic,
    "avif": media.make_avif,
    "webp": media.make_webp,
}


def judged(path: Path) -> bool:
    kind = sniff(path.read_bytes()[:HEAD_BYTES])
    assert kind is not None
    return is_truncated(path, kind)


@pytest.mark.parametrize("name", MAKERS)
def test_a_whole_file_is_whole_and_a_shorter_one_is_not(tmp_path, name: str) -> None:
    path = MAKERS[name](tmp_path / name)
    assert not judged(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert judged(path)


def test_a_live_recording_has_no_end_to_miss(tmp_path) -> None:
    assert not judged(media.make_webm(tmp_path / "live", live=True))


@pytest.mark.parametrize("trailer", [b"\0\0\0\0", b"\0" * 9, b"\0\0\xff\0\1\2\3\4SEFT", b"abc"])
def test_what_phones_append_does_no_harm(tmp_path, trailer: bytes) -> None:
    path = media.make_mp4(tmp_path / "clip")
    path.write_bytes(path.read_bytes() + trailer)
    assert not judged(path)


def test_a_file_of_endless_tiny_boxes_is_judged_in_bounded_time(tmp_path) -> None:
    path = tmp_path / "boxes"
    path.write_bytes(struct.pack(">I4s", 8, b"free") * 1_000_000)
    assert is_truncated(path, MP4)


def test_an_index_alone_behind_a_64_bit_length_is_read(tmp_path) -> None:
    path = tmp_path / "large"
    path.write_bytes(struct.pack(">I4sQ", 1, b"mdat", 24) + b"\0" * 8 + b"\0\0\0\x08moov")
    assert not is_truncated(path, MP4)
    path.write_bytes(struct.pack(">I4sQ", 1, b"mdat", 1 << 40) + b"\0" * 8 + b"\0\0\0\x08moov")
    assert is_truncated(path, MP4)
