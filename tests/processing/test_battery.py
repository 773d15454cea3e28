"""Odd and hostile media through the whole pipeline, with ffmpeg and without."""

import contextlib
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from processing.declared import Declared
from processing.examined import Examined
from processing.limits import Limits
from processing.pipeline import Pipeline
from processing.reasons import Rejected
from processing.recipe import THUMBNAIL
from processing.tools import Tools
from tests import media

FOUND = Tools.found()
NONE = Tools(None, None)
BOTH = pytest.mark.parametrize("tools", [FOUND, NONE], ids=["ffmpeg", "no ffmpeg"])
Make = Callable[[Path], Path]


def examine(path: Path, tools: Tools = FOUND, limits: Limits | None = None) -> Examined:
    pipeline = Pipeline(limits or Limits(), tools, 20)
    return pipeline.examine(path, Declared(), path.parent)


def thumbnail_of(path: Path) -> Path:
    return path.with_name(THUMBNAIL)


IMAGES: dict[str, tuple[Make, str]] = {
    "two pictures": (media.make_mpo, "image/jpeg"),
    "CMYK": (media.make_cmyk_jpeg, "image/jpeg"),
    "profile": (media.make_profiled_jpeg, "image/jpeg"),
    "16-bit grey": (media.make_grey16_png, "image/png"),
    "16-bit colour": (media.make_rgb16_png, "image/png"),
    "alpha": (media.make_alpha_png, "image/png"),
    "animated GIF": (partial(media.make_animation, form="GIF"), "image/gif"),
    "animated WebP": (partial(media.make_animation, form="WEBP"), "image/webp"),
    "animated AVIF": (partial(media.make_animation, form="AVIF"), "image/avif"),
    "page in a JPEG": (media.make_script_jpeg, "image/jpeg"),
    "archive in a GIF": (media.make_zip_gif, "image/gif"),
    "document in a PNG": (media.make_pdf_png, "image/png"),
}


@pytest.mark.parametrize("name", IMAGES)
@BOTH
def test_odd_images_pass(tmp_path: Path, name: str, tools: Tools) -> None:
    make, content_type = IMAGES[name]
    found = examine(make(tmp_path / "file"), tools)
    assert (found.content_type, found.width, found.height) == (content_type, 400, 300)
    assert found.thumbnail.status == "ready"
    assert found.duration is None


@pytest.mark.parametrize("make", [media.make_script_jpeg, media.make_zip_gif, media.make_pdf_png])
def test_nothing_of_a_polyglot_is_in_its_thumbnail(tmp_path: Path, make: Make) -> None:
    examine(make(tmp_path / "file"))
    content = thumbnail_of(tmp_path / "file").read_bytes()
    assert b"<script>" not in content
    assert b"%PDF" not in content
    assert not zipfile.is_zipfile(thumbnail_of(tmp_path / "file"))


@pytest.mark.parametrize(
    "make",
    [
        media.make_private_jpeg,
        media.make_private_png,
        media.make_private_webp,
        media.make_private_gif,
        media.make_private_heic,
        media.make_private_avif,
        media.make_private_mp4,
        media.make_private_webm,
    ],
)
def test_no_private_metadata_gets_into_a_thumbnail(tmp_path: Path, make: Make) -> None:
    examine(make(tmp_path / "file"))
    assert media.SECRET.encode() not in thumbnail_of(tmp_path / "file").read_bytes()
    with Image.open(thumbnail_of(tmp_path / "file")) as image:
        assert not image.getexif()


def test_the_first_picture_of_an_animation_is_shown(tmp_path: Path) -> None:
    examine(media.make_animation(tmp_path / "file", "WEBP"))
    with Image.open(thumbnail_of(tmp_path / "file")) as image:
        assert image.convert("RGB").getpixel((390, 290)) == pytest.approx(media.BLUE, abs=40)


def test_sixteen_bit_colour_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    examine(media.make_rgb16_png(tmp_path / "file"))
    with Image.open(thumbnail_of(tmp_path / "file")) as image:
        assert image.getpixel((50, 50)) == pytest.approx((64, 128, 192), abs=3)


def test_thousands_of_frames_cost_one(tmp_path: Path) -> None:
    path = media.make_many_frames_gif(tmp_path / "file")
    one = media.make_many_frames_gif(tmp_path / "one", frames=1)
    began = time.process_time()
    examine(one)
    alone = time.process_time() - began
    assert examine(path).width == 4000
    assert time.process_time() - began < 20 * max(alone, 0.1)


VIDEOS: dict[str, tuple[Make, tuple[int, int], int, float, str]] = {
    "frames at odd times": (media.make_vfr_mp4, (320, 240), 0, 3.0, "h264"),
    "edit list": (media.make_edited_mp4, (320, 240), 0, 2.0, "h264"),
    "HEVC HLG portrait": (media.make_turned_hdr_mov, (240, 320), 90, 1.0, "hevc"),
    "oblong pixels": (media.make_anamorphic_mp4, (640, 240), 0, 1.0, "h264"),
    "fragments": (media.make_fragmented_mp4, (320, 240), 0, 2.0, "h264"),
    "fade": (media.make_fade_mp4, (320, 240), 0, 6.0, "h264"),
    "exactly a second": (partial(media.make_mp4, seconds=1), (320, 240), 0, 1.0, "h264"),
    "one frame": (media.make_one_frame_mp4, (320, 240), 0, 1.0, "h264"),
    "two tracks": (media.make_two_track_mp4, (320, 240), 0, 1.0, "h264"),
    "page in a film": (media.make_page_mp4, (320, 240), 0, 2.0, "h264"),
}


@pytest.mark.parametrize("name", VIDEOS)
@BOTH
def test_odd_videos_pass(tmp_path: Path, name: str, tools: Tools) -> None:
    make, size, rotation, seconds, codec = VIDEOS[name]
    found = examine(make(tmp_path / "file"), tools)
    assert ((found.width, found.height), found.rotation, found.codec) == (size, rotation, codec)
    assert found.duration == pytest.approx(seconds, abs=0.1)
    assert found.thumbnail.status == ("ready" if tools.ffmpeg else "skipped")


@pytest.mark.parametrize("name", ["fade", "exactly a second", "one frame", "HEVC HLG portrait"])
def test_their_thumbnails_show_something(tmp_path: Path, name: str) -> None:
    examine(VIDEOS[name][0](tmp_path / "file"))
    with Image.open(thumbnail_of(tmp_path / "file")) as image:
        assert ImageStat.Stat(image.convert("L")).stddev[0] > 10


@BOTH
def test_a_film_without_times_is_measured_by_its_frames(tmp_path: Path, tools: Tools) -> None:
    path = media.make_timeless_mp4(tmp_path / "file")
    assert examine(path, tools).duration == pytest.approx(2.0, abs=0.1)


def playlist(make: Callable[[Path, str], Path], path: Path) -> Path:
    """A text that leads to another file of this machine, by its absolute path."""
    other = media.make_mp4(path.with_name("others.mp4"))
    return make(path, str(other))


def concatenation(path: Path, url: str) -> Path:
    path.write_text(f"ffconcat version 1.0\nfile '{url}'\n")
    return path


def presentation(path: Path, url: str) -> Path:
    path.write_text(f'<smil><body><video src="{url}"/></body></smil>')
    return path


def behind_a_head(make: Callable[[Path, str], Path], path: Path) -> Path:
    """The same behind first bytes that pass, so that the decoders get to see it."""
    text = playlist(make, path).read_bytes()
    path.write_bytes(media.make_ftyp_only(path).read_bytes() + bytes(8) + text * 20)
    return path


REJECTED: dict[str, tuple[Make, set[str]]] = {
    "four gigapixels of PNG": (media.make_header_png, {"image_too_large_dimensions"}),
    "four gigapixels of GIF": (media.make_vast_gif, {"image_too_large_dimensions"}),
    "four gigapixels of JPEG": (media.make_vast_jpeg, {"image_too_large_dimensions"}),
    "four gigapixels of HEIC": (media.make_vast_heic, {"image_too_large_dimensions"}),
    "four gigapixels of AVIF": (
        media.make_vast_avif,
        {"image_too_large_dimensions", "unreadable"},
    ),
    "wide script": (media.make_script_gif, {"image_too_large_dimensions"}),
    "profile bomb": (media.make_profile_bomb_png, {"unreadable"}),
    "text bomb": (media.make_text_bomb_png, {"unreadable"}),
    "international text bomb": (media.make_itxt_bomb_png, {"unreadable"}),
    "SVG": (media.make_svg, {"type_not_allowed"}),
    "HTML": (media.make_html, {"type_not_allowed"}),
    "EPS": (media.make_eps, {"type_not_allowed"}),
    "ftyp alone": (media.make_ftyp_only, {"truncated"}),
    "200 s as 10": (media.make_lying_short_mp4, {"video_too_long"}),
    "second track too large": (
        partial(media.make_two_track_mp4, second="4104x100"),
        {"video_too_large_dimensions"},
    ),
    **{
        f"{form.__name__.removeprefix('make_')} {way.__name__}": (
            partial(way, form),
            {"type_not_allowed"} if way is playlist else {"truncated", "unreadable"},
        )
        for form in (media.make_hls, media.make_dash, concatenation, presentation)
        for way in (playlist, behind_a_head)
    },
}


@pytest.mark.parametrize("name", REJECTED)
@BOTH
def test_hostile_media_are_rejected_in_time(tmp_path: Path, name: str, tools: Tools) -> None:
    make, codes = REJECTED[name]
    path = make(tmp_path / "file")
    with pytest.raises(Rejected) as caught:
        examine(path, tools)
    assert {reason.code for reason in caught.value.reasons} <= codes
    assert not thumbnail_of(path).exists()


@BOTH
def test_a_russian_doll_of_boxes_ends_in_time(tmp_path: Path, tools: Tools) -> None:
    """Either verdict will do; neither probe may hang, crash the worker or fill the memory."""
    path = media.make_nested_mp4(tmp_path / "file")
    with contextlib.suppress(Rejected):
        assert examine(path, tools).width == 320


def test_a_long_film_by_its_header_alone_is_too_long_for_ffprobe(tmp_path: Path) -> None:
    """Headers that say more than the truth are believed: players show a film of that length."""
    with pytest.raises(Rejected) as caught:
        examine(media.make_lying_long_mp4(tmp_path / "file"))
    assert [reason.code for reason in caught.value.reasons] == ["video_too_long"]


def test_a_stored_size_that_lies_needs_ffprobe_to_be_found_out(tmp_path: Path) -> None:
    path = media.make_lying_size_mp4(tmp_path / "file")
    assert examine(path, NONE).width == 640
    with pytest.raises(Rejected):
        examine(path)
