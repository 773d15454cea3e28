import json
import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from processing.deriving import Deriver, planned, products
from processing.examined import GAVE_UP, Derivative
from processing.limits import Limits
from processing.recipe import Recipe
from processing.sandbox import Confinement, Sandbox
from processing.telling import heard_by
from processing.tools import Tools
from tests import media
from tests.disks import fill, small_disk

FOUND = Tools.found()
RECIPE = Recipe(storyboard=25, renditions=(180, 720), rendition_timeout_seconds=60)


def wanted(name: str, recipe: Recipe = RECIPE) -> list[Derivative]:
    (group,) = [each for each in products(planned(recipe, FOUND)) if each[0].name == name]
    return list(group)


def made(
    source: Path, name: str, tools: Tools = FOUND, recipe: Recipe = RECIPE
) -> list[Derivative]:
    into = source.with_name("made")
    into.mkdir(exist_ok=True)
    deriver = Deriver(Limits(), tools, 20, recipe)
    return list(deriver.make(source, wanted(name, recipe), into))


def probed(path: Path) -> dict:
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", path],
        check=True,
        stdout=subprocess.PIPE,
    )
    found: dict = json.loads(done.stdout)
    return found


def test_what_is_planned_follows_from_the_recipe() -> None:
    names = [each.name for each in planned(RECIPE, FOUND)]
    assert names == ["storyboard", "storyboard.vtt", "180p", "720p"]
    assert {each.status for each in planned(RECIPE, FOUND)} == {"pending"}
    assert planned(Recipe(), FOUND) == ()
    without = planned(RECIPE, Tools(None, None))
    assert {(each.status, each.reason) for each in without} == {("skipped", "ffmpeg_missing")}


def test_only_what_is_not_there_is_made() -> None:
    done = Derivative("180p", "video/mp4", "a", 1, 1, 1)
    failed = Derivative("360p", "video/mp4", "a", None, None, None, "failed", "timeout")
    given_up = Derivative("720p", "video/mp4", "a", None, None, None, "failed", GAVE_UP)
    assert products([done, failed, given_up]) == [[given_up]]


def test_a_storyboard_has_its_tiles_in_their_places(tmp_path) -> None:
    sprite, times = made(media.make_mp4(tmp_path / "clip", seconds=6), "storyboard")
    assert (sprite.name, sprite.content_type) == ("storyboard", "image/jpeg")
    assert (times.name, times.content_type) == ("storyboard.vtt", "text/vtt")
    assert (sprite.width, sprite.height) == (4 * 160, 3 * 120)
    picture = tmp_path / "made" / sprite.path
    assert picture.stat().st_size == sprite.size
    with Image.open(picture, formats=("JPEG",)) as image:
        assert image.size == (640, 360)
    text = (tmp_path / "made" / times.path).read_text()
    assert text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:00.5")
    cues = re.findall(r"storyboard\.jpg#xywh=(\d+),(\d+),160,120", text)
    assert len(cues) == 12
    assert len(set(cues)) == 12
    assert text.rstrip().endswith("xywh=480,240,160,120")


def test_tiles_differ_although_keyframes_are_far_apart(tmp_path) -> None:
    path = media.make_filtered_mp4(tmp_path / "clip", "hue=H=t/2", 8)
    sprite, _ = made(path, "storyboard", recipe=Recipe(storyboard=9))
    with Image.open(tmp_path / "made" / sprite.path) as image:
        tiles = {
            image.crop((x, y, x + 160, y + 120)).tobytes()
            for x in range(0, 480, 160)
            for y in range(0, 360, 120)
        }
    assert len(tiles) == 9


@pytest.mark.parametrize("make", [media.make_one_frame_mp4, media.make_webm, media.make_phone_mp4])
def test_other_videos_have_a_storyboard_too(tmp_path, make) -> None:
    sprite, times = made(make(tmp_path / "clip"), "storyboard")
    assert (sprite.status, times.status) == ("ready", "ready")


@pytest.mark.parametrize(
    ("make", "name", "size"),
    [
        (media.make_mp4, "180p", (240, 180)),
        (media.make_mp4, "720p", (320, 240)),
        (media.make_phone_mp4, "180p", (180, 240)),
        (media.make_webm, "180p", (240, 180)),
        (media.make_hdr_mp4, "180p", (240, 180)),
        (media.make_anamorphic_mp4, "720p", (640, 240)),
        (media.make_two_track_mp4, "720p", (320, 240)),
    ],
)
def test_a_rendition_plays_everywhere(tmp_path, make, name: str, size: tuple[int, int]) -> None:
    (found,) = made(make(tmp_path / "clip"), name)
    assert (found.name, found.content_type, found.status) == (name, "video/mp4", "ready")
    path = tmp_path / "made" / found.path
    assert (found.width, found.height) == size
    assert found.size == path.stat().st_size
    document = probed(path)
    video, *sound = document["streams"]
    assert (video["codec_name"], video["pix_fmt"]) == ("h264", "yuv420p")
    assert (video["width"], video["height"]) == size
    assert "side_data_list" not in video
    assert video["color_transfer"] == "bt709"
    assert [each["codec_name"] for each in sound] in (["aac"], [])
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_a_rendition_keeps_length_and_sound(tmp_path) -> None:
    (found,) = made(media.make_mp4(tmp_path / "clip", seconds=3), "180p")
    document = probed(tmp_path / "made" / found.path)
    assert [each["codec_type"] for each in document["streams"]] == ["video", "audio"]
    assert float(document["format"]["duration"]) == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("name", ["180p", "storyboard"])
def test_no_byte_of_anything_private_is_in_a_derivative(tmp_path, name: str) -> None:
    secret = b"+52.5200+013.4050/"
    path = media.make_private_mov(tmp_path / "clip")
    assert secret in path.read_bytes()
    for each in made(path, name):
        assert each.status == "ready"
        data = (tmp_path / "made" / each.path).read_bytes()
        for trace in (
            secret,
            b"13.4",
            b"iPhone",
            b"Ferien",
            b"2026-",
            b"Lavf",
            str(tmp_path).encode(),
        ):
            assert trace not in data


def test_odd_sides_become_even_and_not_longer(tmp_path) -> None:
    path = media.make_odd_webm(tmp_path / "clip")
    (found,) = made(path, "720p")
    assert (found.width, found.height) == (318, 176)


def program(path: Path, body: str) -> Tools:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="ascii")
    path.chmod(0o755)
    return Tools(str(path), FOUND.ffprobe)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ("exit 1", "failed", "unreadable"),
        # ffmpeg says so when it cannot write the index.
        (
            "echo 'Error writing trailer of file:x: File too large' >&2; exit 0",
            "failed",
            "too_large",
        ),
        ("for out; do :; done; echo half > ${out#file:}; exit 0", "failed", "unreadable"),
        ("echo \"Unknown encoder 'libx264'\" >&2; exit 1", "skipped", "encoder_missing"),
        ("ulimit -v 200; exec /bin/cat", "failed", "crashed"),
        ("exec /bin/sleep 60", "failed", "timeout"),
        # As a hostile video would: it writes for ever, and busy waiting is no way out either.
        ("for out; do :; done; exec /bin/cat /dev/zero > ${out#file:}", "failed", "too_large"),
        ("while :; do :; done", "failed", "timeout"),
    ],
)
def test_a_failing_rendition_is_told_and_leaves_no_file(
    tmp_path, body: str, status: str, reason: str
) -> None:
    path = media.make_mp4(tmp_path / "clip", seconds=1)
    recipe = Recipe(renditions=(180,), rendition_timeout_seconds=2)
    (found,) = made(path, "180p", program(tmp_path / "ffmpeg", body), recipe)
    assert (found.status, found.reason) == (status, reason)
    assert (found.path, found.width, found.size) == ("180p.mp4", None, None)


def test_a_rendition_may_write_its_own_file_alone(tmp_path) -> None:
    path = media.make_mp4(tmp_path / "clip", seconds=1)
    body = (
        "for out; do :; done; out=${out#file:}\n"
        f"echo other > $out.2\necho more > {tmp_path}/other\n"
        f"exec /bin/cat {path} > $out"
    )
    made(path, "180p", program(tmp_path / "ffmpeg", body))
    assert [each.name for each in (tmp_path / "made").iterdir()] == ["180p.mp4"]
    assert not (tmp_path / "other").exists()


def test_without_a_way_to_write_one_file_alone_there_is_no_rendition(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sandbox, "confinement", lambda self: Confinement(True, False))
    (found,) = made(media.make_mp4(tmp_path / "clip", seconds=1), "180p")
    assert (found.status, found.reason) == ("skipped", "sandbox_missing")


@pytest.mark.parametrize("name", ["180p", "storyboard"])
def test_a_hostile_file_is_a_failure_and_no_exception(tmp_path, name: str) -> None:
    found = made(media.make_hostile_stts_mp4(tmp_path / "clip"), name)
    assert {(each.status, each.reason) for each in found} == {("failed", "unreadable")}


@pytest.mark.parametrize("name", ["180p", "storyboard"])
def test_half_a_video_that_was_let_in_ends_in_time(tmp_path, name: str) -> None:
    path = media.make_mp4(tmp_path / "clip", seconds=6)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4096
    data[start:] = b"\xff" * (len(data) - start)
    path.write_bytes(data)
    assert {each.status for each in made(path, name)} <= {"ready", "failed"}


@pytest.mark.parametrize("leave", [0, 8192, 28672])
def test_a_full_disk_is_no_fault_of_the_video(tmp_path, leave: int) -> None:
    source = media.make_mp4(tmp_path / "clip", seconds=2)
    with small_disk(tmp_path / "made") as disk:
        fill(disk, leave=leave)
        with pytest.raises(OSError, match="No space left on device"):
            made(source, "180p")


def test_progress_is_told(tmp_path) -> None:
    told: list[tuple[str, float | None]] = []
    with heard_by(lambda step, progress: told.append((step, progress))):
        made(media.make_mp4(tmp_path / "clip", seconds=3), "180p")
    assert told[0] == ("180p", None)
    assert told[-1][0] == "180p"
    assert told[-1][1] == pytest.approx(1, abs=0.1)
