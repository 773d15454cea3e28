import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from processing.examined import Examined, Thumbnail
from processing.limits import Limits
from processing.pipeline import Declared, Pipeline
from processing.reasons import REASONS, Rejected
from processing.sandbox import SandboxBroken
from processing.telling import heard_by
from processing.tools import Tools
from tests import media

FOUND = Tools.found()
NONE = Tools(None, None)
UNDECLARED = Declared()


def examine(path: Path, tools: Tools = FOUND, declared: Declared = UNDECLARED) -> Examined:
    return Pipeline(Limits(), tools, 20).examine(path, declared, path.parent)


def codes(path: Path, tools: Tools = FOUND, declared: Declared = UNDECLARED) -> list[str]:
    with pytest.raises(Rejected) as caught:
        examine(path, tools, declared)
    assert not path.with_name("thumbnail").exists()
    return [reason.code for reason in caught.value.reasons]


IMAGES = {
    "image/jpeg": media.make_jpeg,
    "image/png": media.make_png,
    "image/webp": media.make_webp,
    "image/gif": media.make_animated_gif,
    "image/heic": media.make_heic,
    "image/avif": media.make_avif,
}


@pytest.mark.parametrize("content_type", IMAGES)
@pytest.mark.parametrize("tools", [FOUND, NONE], ids=["ffmpeg", "no ffmpeg"])
def test_images(tmp_path, content_type: str, tools: Tools) -> None:
    path = IMAGES[content_type](tmp_path / "file")
    found = examine(path, tools)
    assert found == Examined(
        media_type="image",
        content_type=content_type,
        width=400,
        height=300,
        duration=None,
        codec=None,
        bitrate=None,
        fps=None,
        rotation=0,
        size=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        probe="pillow",
        thumbnail=Thumbnail("ready", None, 400, 300),
        thumbhash=found.thumbhash,
    )
    with Image.open(tmp_path / "thumbnail", formats=("JPEG",)) as image:
        assert image.size == (400, 300)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "thumbnail"]


def test_a_phones_portrait(tmp_path) -> None:
    found = examine(media.make_phone_jpeg(tmp_path / "photo", 6))
    assert (found.width, found.height, found.rotation) == (300, 400, 90)


VIDEOS = {
    "video/mp4": (media.make_mp4, "h264"),
    "video/quicktime": (media.make_mov, "h264"),
    "video/webm": (media.make_webm, "vp8"),
}


@pytest.mark.parametrize("content_type", VIDEOS)
@pytest.mark.parametrize("tools", [FOUND, NONE], ids=["ffmpeg", "no ffmpeg"])
def test_videos(tmp_path, content_type: str, tools: Tools) -> None:
    make, codec = VIDEOS[content_type]
    path = make(tmp_path / "file")
    found = examine(path, tools)
    assert (found.media_type, found.content_type) == ("video", content_type)
    assert (found.width, found.height, found.rotation) == (320, 240, 0)
    assert found.duration == pytest.approx(2.0, abs=0.1)
    assert (found.codec, found.fps) == (codec, 15.0)
    assert found.bitrate == pytest.approx(path.stat().st_size * 8 / 2, rel=0.1)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    if tools.ffmpeg:
        assert found.probe == "ffprobe"
        assert found.thumbnail == Thumbnail("ready", None, 320, 240)
    else:
        assert found.probe == "mediainfo"
        assert found.thumbnail == Thumbnail("skipped", "ffmpeg_missing", None, None)
    assert (tmp_path / "thumbnail").exists() == (tools.ffmpeg is not None)


def test_a_phones_portrait_clip(tmp_path) -> None:
    found = examine(media.make_phone_mp4(tmp_path / "clip", 90))
    assert (found.width, found.height, found.rotation) == (240, 320, 90)
    assert found.thumbnail == Thumbnail("ready", None, 240, 320)


def small_image(path: Path) -> Path:
    return media.make_png(path, 99, 200)


def short_video(path: Path) -> Path:
    return media.make_mp4(path, seconds=0.5)


def playlist(path: Path) -> Path:
    return media.make_hls(path, "http://127.0.0.1:9/none.ts")


REJECTED = {
    "empty": (media.make_empty, "empty_file"),
    "text": (media.make_text, "type_not_allowed"),
    "playlist": (playlist, "type_not_allowed"),
    "EPS": (media.make_eps, "type_not_allowed"),
    "Matroska": (media.make_matroska, "type_not_allowed"),
    "99 px": (small_image, "image_too_small"),
    "PNG bomb": (media.make_flat_png, "image_too_large_dimensions"),
    "WebP bomb": (media.make_bomb_webp, "image_too_large_dimensions"),
    "text bomb": (media.make_text_bomb_png, "unreadable"),
    "half a JPEG": (media.make_half_jpeg, "truncated"),
    "half an MP4": (media.make_truncated_mp4, "truncated"),
    "half a WebM": (media.make_truncated_webm, "truncated"),
    "sound": (media.make_audio_mp4, "no_video_track"),
    "sound with cover": (media.make_cover_art_mp4, "no_video_track"),
    "MPEG-2": (media.make_mpeg2_mp4, "codec_not_allowed"),
    "0.5 s": (short_video, "video_too_short"),
    "181 s": (media.make_long_mp4, "video_too_long"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_bad_media_are_rejected_with_their_reason(tmp_path, name: str) -> None:
    make, code = REJECTED[name]
    path = make(tmp_path / "file")
    assert codes(path) == [code]
    assert codes(path, NONE) == [code]


def test_the_closed_list_is_used_up() -> None:
    elsewhere = {
        *("type_mismatch", "file_too_large", "unprocessable"),
        *("duration_unknown", "video_too_large_dimensions"),
        *("infected", "not_scannable", "metadata_not_removable"),
        # Not the pipeline's: of the posts backend and of the worker.
        *("post_of_another_user", "processing_failed", "registration_failed"),
        *("processing_crashed", "processing_unavailable", "posts_unavailable"),
        "refused_by_backend",
    }
    assert {code for _, code in REJECTED.values()} | elsewhere == set(REASONS)


def test_a_lie_about_the_size_is_found_out(tmp_path) -> None:
    assert codes(media.make_lying_size_mp4(tmp_path / "file")) == ["video_too_large_dimensions"]


def test_a_live_recording_needs_ffprobe_for_its_length(tmp_path) -> None:
    path = media.make_webm(tmp_path / "file", live=True)
    assert codes(path, NONE) == ["duration_unknown"]
    assert examine(path).duration == pytest.approx(2.0, abs=0.1)


def test_too_many_bytes_are_refused_before_any_work(tmp_path) -> None:
    path = media.make_jpeg(tmp_path / "file")
    limits = Limits(image_max_size=1000)
    broken = Tools("/nonexistent", "/nonexistent")
    with pytest.raises(Rejected) as caught:
        Pipeline(limits, broken, 20).examine(path, Declared(), tmp_path / "thumbnail")
    assert [reason.code for reason in caught.value.reasons] == ["file_too_large"]


@pytest.mark.parametrize(
    "declared",
    [
        Declared("clip.mp4", None),
        Declared("CLIP.MOV", None),
        Declared(None, "video/mp4"),
        Declared("photo.jpg", "video/mp4"),
        Declared("clip.mp4", "image/jpeg"),
        Declared(None, "text/plain"),
        Declared("song.mp3", "application/octet-stream"),
    ],
)
def test_another_family_than_declared_is_rejected(tmp_path, declared: Declared) -> None:
    assert codes(media.make_jpeg(tmp_path / "file"), declared=declared) == ["type_mismatch"]


@pytest.mark.parametrize(
    "declared",
    [
        Declared("photo.png", "image/png"),
        Declared("photo.HEIC", "image/jpg"),
        Declared("photo", "application/octet-stream"),
        Declared("photo.xyz", ""),
        Declared(None, None),
    ],
)
def test_another_subtype_than_declared_is_corrected(tmp_path, declared: Declared) -> None:
    path = media.make_jpeg(tmp_path / "file")
    assert examine(path, declared=declared).content_type == "image/jpeg"


def test_a_hostile_file_is_refused_in_time_and_others_go_on(tmp_path) -> None:
    hostile = media.make_hostile_stts_mp4(tmp_path / "hostile")
    good = media.make_mp4(tmp_path / "good")
    pipeline = Pipeline(Limits(), NONE, 2.0)

    def run(path: Path) -> str:
        try:
            target = tmp_path / f"{path.name}.jpg"
            return pipeline.examine(path, Declared(), target).codec or ""
        except Rejected as rejected:
            return rejected.reasons[0].code

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, [hostile, good, good, good]))
    assert found == ["unprocessable", "h264", "h264", "h264"]


def test_a_second_run_gives_the_same(tmp_path) -> None:
    path = media.make_mp4(tmp_path / "file")
    first, picture = examine(path), (tmp_path / "thumbnail").read_bytes()
    assert examine(path) == first
    assert (tmp_path / "thumbnail").read_bytes() == picture


def test_the_machines_faults_are_no_rejections(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        examine(tmp_path / "missing")
    path = media.make_mp4(tmp_path / "file")
    with pytest.raises(SandboxBroken):
        examine(path, Tools(None, "/nonexistent"))
    with pytest.raises(FileNotFoundError):
        Pipeline(Limits(), FOUND, 20).examine(path, Declared(), tmp_path / "no such directory")


def test_the_pipeline_tells_its_steps(tmp_path) -> None:
    heard: list[tuple[str, float | None]] = []
    photo = media.make_jpeg(tmp_path / "a.jpg")
    with heard_by(lambda step, progress: heard.append((step, progress))):
        examine(photo)
    steps = [step for step, _ in heard]
    assert steps[0] == "sniff"
    assert {"sniff", "probe", "validate", "digest", "thumbnail"} <= set(steps)
    shares = [share for _, share in heard if share is not None]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] < 1.0


def test_a_relative_path_will_do(tmp_path, monkeypatch) -> None:
    media.make_mp4(tmp_path / "-file")
    monkeypatch.chdir(tmp_path)
    assert examine(Path("-file")).codec == "h264"


def test_tools_are_found_along_a_path(tmp_path) -> None:
    assert Tools.found(str(tmp_path)) == NONE
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\n", encoding="ascii")
    program.chmod(0o755)
    assert Tools.found(str(tmp_path)) == Tools(str(program), None)
