"""What is private goes, what is seen and heard stays, bit by bit."""

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image, ImageSequence

from processing.declared import Declared
from processing.examined import Examined
from processing.limits import Limits
from processing.pipeline import Pipeline
from processing.reasons import Rejected
from processing.sandbox import Sandbox, SandboxRefusal
from processing.steps.strip import STRIPPED
from processing.tools import Tools
from tests import media

Make = Callable[[Path], Path]
SECRET = media.SECRET.encode()
EMPTY_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'

IMAGES: dict[str, Make] = {
    "jpeg": media.make_private_jpeg,
    "upright jpeg": partial(media.make_private_jpeg, orientation=1),
    "progressive jpeg": partial(media.make_private_jpeg, progressive=True),
    "png": media.make_private_png,
    "upright png": partial(media.make_private_png, orientation=1),
    "webp": media.make_private_webp,
    "upright webp": partial(media.make_private_webp, orientation=1),
    "animated webp": partial(media.make_private_webp, frames=4),
    "gif": media.make_private_gif,
    "heic": media.make_private_heic,
    "avif": media.make_private_avif,
}
VIDEOS: dict[str, Make] = {
    "mp4": media.make_private_mp4,
    "mov": media.make_private_mov,
    "webm": media.make_private_webm,
    "live webm": partial(media.make_private_webm, live=True),
}
ALL = {**IMAGES, **VIDEOS}


def examine(path: Path) -> Examined:
    pipeline = Pipeline(Limits(), Tools.found(), 20, strip_metadata=True)
    return pipeline.examine(path, Declared(), path.parent)


def stripped(path: Path) -> Path:
    assert examine(path).stripped
    return path.with_name(STRIPPED).rename(path.with_name("result"))


def pixels(path: Path) -> list[tuple[str, tuple[int, int], bytes]]:
    with Image.open(path) as image:
        frames = [frame.copy() for frame in ImageSequence.Iterator(image)]
    return [(frame.mode, frame.size, frame.tobytes()) for frame in frames]


def packets(path: Path) -> bytes:
    """Every frame and every sample as they are decoded, with their times."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:v", "-map", "0:a?"]
    command += ["-f", "framemd5", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.parametrize("name", ALL)
def test_nothing_private_is_left(tmp_path: Path, name: str) -> None:
    path = ALL[name](tmp_path / "file")
    assert path.read_bytes().count(SECRET) >= 2
    found = stripped(path).read_bytes()
    assert SECRET not in found
    assert b"+52.52" not in found


@pytest.mark.parametrize("name", IMAGES)
def test_every_pixel_stays(tmp_path: Path, name: str) -> None:
    path = IMAGES[name](tmp_path / "file")
    result = stripped(path)
    assert pixels(result) == pixels(path)
    with Image.open(path) as before, Image.open(result) as after:
        assert after.format in (before.format, "JPEG")
        assert after.info.get("icc_profile") == before.info.get("icc_profile")
        assert after.info.get("loop") == before.info.get("loop")
        turned = before.getexif().get(media.ORIENTATION, 1)
        assert after.getexif().get(media.ORIENTATION, 1) == turned
        assert set(after.getexif()) <= {media.ORIENTATION}
        assert (after.info.get("xmp") or EMPTY_XMP).strip() == EMPTY_XMP


@pytest.mark.parametrize("name", VIDEOS)
def test_every_frame_and_sample_stays(tmp_path: Path, name: str) -> None:
    path = VIDEOS[name](tmp_path / "file")
    result = stripped(path)
    assert packets(result) == packets(path)
    command = ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "flat"]
    told = subprocess.run([*command, str(result)], capture_output=True, check=True).stdout
    assert b"creation_time" not in told
    assert b"title" not in told
    assert b"nb_streams=1" in told if "webm" in name else b"nb_streams=2" in told


@pytest.mark.parametrize("name", ALL)
def test_what_is_stripped_is_not_stripped_again(tmp_path: Path, name: str) -> None:
    result = stripped(ALL[name](tmp_path / "file"))
    again = examine(result)
    assert (again.stripped, again.size) == (False, result.stat().st_size)
    assert not (tmp_path / STRIPPED).exists()


PLAIN: dict[str, Make] = {
    "jpeg": media.make_jpeg,
    "cmyk": media.make_cmyk_jpeg,
    "png": media.make_png,
    "16-bit png": media.make_grey16_png,
    "webp": media.make_webp,
    "gif": media.make_animated_gif,
    "heic": media.make_heic,
    "avif": media.make_avif,
    "turned mp4": media.make_phone_mp4,
    "fragmented mp4": media.make_fragmented_mp4,
    "two tracks": media.make_two_track_mp4,
    "mov": media.make_mov,
    "webm": media.make_webm,
}


@pytest.mark.parametrize("name", PLAIN)
def test_media_without_secrets_pass_too(tmp_path: Path, name: str) -> None:
    path = PLAIN[name](tmp_path / "file")
    plain = Pipeline(Limits(), Tools.found(), 20)
    before = plain.examine(path, Declared(), tmp_path)
    after = examine(path)
    assert (after.width, after.height, after.rotation) == (
        *(before.width, before.height),
        before.rotation,
    )
    assert after.duration == before.duration
    assert (tmp_path / "thumbnail").exists()


def test_without_the_setting_nothing_is_touched(tmp_path: Path) -> None:
    path = media.make_private_jpeg(tmp_path / "file")
    found = Pipeline(Limits(), Tools.found(), 20).examine(path, Declared(), tmp_path)
    assert (found.stripped, found.size) == (False, path.stat().st_size)
    assert not (tmp_path / STRIPPED).exists()


def test_boxes_within_boxes_without_end_are_a_refusal(tmp_path: Path) -> None:
    deep = b""
    for _ in range(3000):
        deep = box(b"mdia", deep)
    track = box(b"trak", box(b"mdia", box(b"hdlr", bytes(8) + b"vide"), deep))
    path = tmp_path / "file"
    path.write_bytes(box(b"ftyp", b"isom") + box(b"moov", track))
    with pytest.raises(SandboxRefusal, match="metadata_not_removable"):
        Sandbox(20).ask("strip", source=path, content_type="video/mp4")


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return (8 + len(body)).to_bytes(4, "big") + name + body


def test_what_cannot_be_removed_is_refused_and_not_stored(tmp_path: Path) -> None:
    """Telemetry in fragments is the one place where it is not looked for."""
    with pytest.raises(Rejected) as caught:
        examine(media.make_private_mp4(tmp_path / "file", fragmented=True))
    assert [reason.code for reason in caught.value.reasons] == ["metadata_not_removable"]
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
