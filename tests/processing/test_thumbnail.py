import io
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from processing.declared import Declared
from processing.examined import Thumbnail
from processing.limits import Limits
from processing.probed import VideoTrack
from processing.sandbox import Sandbox
from processing.sniff import HEAD_BYTES, sniff
from processing.steps.case import Case
from processing.steps.probe import ProbeStep
from processing.steps.thumbnail import ThumbnailStep, thumbnail_size
from processing.tools import Tools
from tests import media

FOUND = Tools.found()
LIMITS = Limits()


def finished(path: Path, limits: Limits = LIMITS, tools: Tools = FOUND) -> Case:
    kind = sniff(path.read_bytes()[:HEAD_BYTES])
    case = Case(path, Declared(), path.stat().st_size, kind)
    sandbox = Sandbox(30)
    return ThumbnailStep(limits, tools, sandbox)(ProbeStep(limits, FOUND, sandbox)(case))


def thumbnail(path: Path, limits: Limits = LIMITS) -> Image.Image:
    case = finished(path, limits)
    assert case.thumbnail is not None
    assert case.thumbnail.status == "ready", case.thumbnail
    assert case.picture is not None
    image = Image.open(io.BytesIO(case.picture.jpeg), formats=("JPEG",))
    image.load()
    assert image.size == (case.thumbnail.width, case.thumbnail.height)
    assert image.mode == "RGB"
    return image


def close(found: object, wanted: tuple[int, int, int], slack: int = 30) -> bool:
    assert isinstance(found, tuple)
    return all(abs(a - b) <= slack for a, b in zip(found, wanted, strict=True))


def corners(image: Image.Image) -> dict[str, object]:
    right, bottom = image.width - 10, image.height - 10
    places = {"ul": (10, 10), "ur": (right, 10), "ll": (10, bottom), "lr": (right, bottom)}
    return {name: image.getpixel(place) for name, place in places.items()}


GREEN_CORNER = {1: "ul", 2: "ur", 3: "lr", 4: "ll", 5: "ul", 6: "ur", 7: "lr", 8: "ll"}


@pytest.mark.parametrize("orientation", GREEN_CORNER)
def test_a_jpeg_is_turned_as_its_exif_says(tmp_path, orientation: int) -> None:
    case = finished(media.make_phone_jpeg(tmp_path / "photo", orientation))
    image = thumbnail(tmp_path / "photo")
    upright = (300, 400) if orientation >= 5 else (400, 300)
    assert image.size == upright
    assert case.image is not None
    assert (case.image.width, case.image.height) == upright
    green = [place for place, pixel in corners(image).items() if close(pixel, media.GREEN, 40)]
    assert green == [GREEN_CORNER[orientation]]


def test_a_heic_is_turned_once(tmp_path) -> None:
    path = media.make_heic(tmp_path / "photo", orientation=6)
    image = thumbnail(path)
    assert image.size == (300, 400)
    assert close(corners(image)["ur"], media.GREEN, 50)


@pytest.mark.parametrize(
    "make",
    [
        media.make_jpeg,
        media.make_png,
        media.make_webp,
        media.make_avif,
        media.make_heic,
        media.make_animated_gif,
        media.make_cmyk_jpeg,
    ],
)
def test_colours_are_kept(tmp_path, make) -> None:
    found = corners(thumbnail(make(tmp_path / "photo")))
    wanted = {"ul": media.GREEN, "ur": media.RED, "ll": media.BLUE, "lr": media.BLUE}
    assert all(close(found[place], wanted[place], 45) for place in wanted), found


def test_transparency_becomes_white(tmp_path) -> None:
    found = corners(thumbnail(media.make_alpha_png(tmp_path / "logo")))
    assert close(found["ul"], media.BLUE)
    assert close(found["ur"], (255, 255, 255), 5)


def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path) -> None:
    image = thumbnail(media.make_grey16_png(tmp_path / "scan"))
    assert close(image.getpixel((50, 50)), (127, 127, 127), 2)


def test_the_embedded_profile_is_applied(tmp_path) -> None:
    found = corners(thumbnail(media.make_profiled_jpeg(tmp_path / "photo")))
    assert close(found["ur"], (media.RED[1], media.RED[0], media.RED[2]), 50), found


def test_nothing_private_is_carried_over(tmp_path) -> None:
    image = thumbnail(media.make_phone_jpeg(tmp_path / "photo"))
    assert not image.getexif()
    assert not {"exif", "comment", "icc_profile", "xmp"} & set(image.info)


def test_large_pictures_shrink_and_small_ones_stay(tmp_path) -> None:
    assert thumbnail(media.make_jpeg(tmp_path / "large", 2000, 1000)).size == (640, 320)
    assert thumbnail(media.make_png(tmp_path / "tall", 500, 1000)).size == (320, 640)
    assert thumbnail(media.make_png(tmp_path / "small", 120, 100)).size == (120, 100)
    assert thumbnail(tmp_path / "large", Limits(thumbnail_side=200)).size == (200, 100)


def test_a_picture_outside_the_limits_is_not_decoded(tmp_path) -> None:
    case = finished(media.make_flat_png(tmp_path / "bomb", 5000))
    assert case.image is not None
    assert (case.image.width, case.image.height, case.image.picture) == (5000, 5000, None)


@pytest.mark.parametrize(("turn", "corner"), [(0, "ul"), (90, "ur"), (180, "lr"), (270, "ll")])
def test_a_video_is_turned_as_its_matrix_says(tmp_path, turn: int, corner: str) -> None:
    image = thumbnail(media.make_phone_mp4(tmp_path / "clip", turn, seconds=1))
    assert image.size == ((240, 320) if turn in (90, 270) else (320, 240))
    green = [place for place, pixel in corners(image).items() if close(pixel, media.GREEN, 60)]
    assert green == [corner]


def contrast(image: Image.Image) -> float:
    return ImageStat.Stat(image.convert("L")).stddev[0]


@pytest.mark.parametrize("black", [0.5, 1, 2])
def test_a_black_start_is_passed_over(tmp_path, black: float) -> None:
    assert contrast(thumbnail(media.make_black_start_mp4(tmp_path / "clip", black))) > 12


def test_a_black_video_has_a_black_thumbnail(tmp_path) -> None:
    assert contrast(thumbnail(media.make_black_mp4(tmp_path / "clip"))) < 2


@pytest.mark.parametrize("make", [media.make_one_frame_mp4, media.make_webm, media.make_mov])
def test_other_videos_have_a_thumbnail_too(tmp_path, make) -> None:
    assert contrast(thumbnail(make(tmp_path / "clip"))) > 12


def test_high_dynamic_range_is_tone_mapped(tmp_path, monkeypatch) -> None:
    path = media.make_hdr_mp4(tmp_path / "clip")
    mapped = thumbnail(path)
    monkeypatch.setattr("processing.steps.thumbnail._TONE_MAPPED", "no_such_filter,")
    plain = thumbnail(path)
    assert plain.size == mapped.size
    assert ImageStat.Stat(plain).mean != pytest.approx(ImageStat.Stat(mapped).mean, abs=3)


def test_pixels_that_are_not_square_are_made_so(tmp_path) -> None:
    assert thumbnail(media.make_anamorphic_mp4(tmp_path / "clip")).size == (640, 240)


@pytest.mark.parametrize(
    ("track", "size"),
    [
        (VideoTrack(0, "h264", 1920, 1080), (640, 360)),
        (VideoTrack(0, "h264", 1920, 1080, rotation=90), (360, 640)),
        (VideoTrack(0, "h264", 320, 240), (320, 240)),
        (VideoTrack(0, "h264", 4096, 2), (640, 1)),
        (VideoTrack(0, "h264", 320, 240, aspect=10_000), (320, 240)),
    ],
)
def test_sizes(track: VideoTrack, size: tuple[int, int]) -> None:
    assert thumbnail_size(track, 640) == size


def test_without_ffmpeg_a_video_has_none(tmp_path) -> None:
    case = finished(media.make_mp4(tmp_path / "clip"), tools=Tools(None, None))
    assert case.thumbnail == Thumbnail("skipped", "ffmpeg_missing", None, None)
    assert case.picture is None


def program(path: Path, body: str) -> Tools:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="ascii")
    path.chmod(0o755)
    return Tools(str(path), FOUND.ffprobe)


@pytest.mark.parametrize(
    ("body", "reason"), [("exit 1", "no_frame"), ("head -c 9999999 /dev/zero", "crashed")]
)
def test_a_failing_ffmpeg_does_not_fail_the_medium(tmp_path, body: str, reason: str) -> None:
    tools = program(tmp_path / "ffmpeg", body)
    case = finished(media.make_mp4(tmp_path / "clip"), tools=tools)
    assert case.thumbnail == Thumbnail("failed", reason, None, None)


def test_a_hanging_ffmpeg_is_given_up(tmp_path) -> None:
    path = media.make_mp4(tmp_path / "clip")
    kind = sniff(path.read_bytes()[:HEAD_BYTES])
    case = Case(path, Declared(), path.stat().st_size, kind)
    case = ProbeStep(Limits(), FOUND, Sandbox(30))(case)
    tools = program(tmp_path / "ffmpeg", "exec sleep 60")
    case = ThumbnailStep(Limits(), tools, Sandbox(0.5))(case)
    assert case.thumbnail == Thumbnail("failed", "timeout", None, None)
