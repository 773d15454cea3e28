import base64
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageCms, ImageFilter, ImageStat, PngImagePlugin

from processing.declared import Declared
from processing.examined import Thumbnail
from processing.limits import Limits
from processing.pictures import placeholder
from processing.probed import VideoTrack
from processing.recipe import Recipe
from processing.sandbox import Finished, Sandbox
from processing.sniff import HEAD_BYTES, sniff
from processing.steps.case import Case
from processing.steps.frames import Clip, fitted_size
from processing.steps.poster import Look
from processing.steps.probe import ProbeStep
from processing.steps.thumbnail import ThumbnailStep, best_still
from processing.tools import Tools
from tests import media

FOUND = Tools.found()
LIMITS = Limits()
PLAIN = Recipe()


def finished(
    path: Path, limits: Limits = LIMITS, tools: Tools = FOUND, recipe: Recipe = PLAIN
) -> Case:
    kind = sniff(path.read_bytes()[:HEAD_BYTES])
    case = Case(path, Declared(), path.stat().st_size, kind)
    sandbox = Sandbox(30)
    case = ProbeStep(limits, FOUND, sandbox, recipe)(case)
    return ThumbnailStep(limits, tools, sandbox, recipe)(case)


def pictures(case: Case) -> list[Image.Image]:
    """The thumbnail and its further sizes."""
    thumbnail = case.thumbnail
    assert thumbnail is not None
    assert thumbnail.status == "ready", thumbnail
    form = thumbnail.content_type.removeprefix("image/").upper()
    images = [Image.open(io.BytesIO(each.data), formats=(form,)) for each in case.pictures]
    for image, each in zip(images, case.pictures, strict=True):
        image.load()
        assert image.size == (each.width, each.height)
    assert images[0].size == (thumbnail.width, thumbnail.height)
    return images


def thumbnail(path: Path, limits: Limits = LIMITS) -> Image.Image:
    (image,) = pictures(finished(path, limits))
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
    assert (case.image.width, case.image.height, case.image.pictures) == (5000, 5000, ())


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
    monkeypatch.setattr("processing.steps.frames._TONE_MAPPED", "no_such_filter,")
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
    assert fitted_size(track, 640) == size


def test_without_ffmpeg_a_video_has_none(tmp_path) -> None:
    case = finished(media.make_mp4(tmp_path / "clip"), tools=Tools(None, None))
    assert case.thumbnail == Thumbnail("skipped", "ffmpeg_missing", None, None)
    assert case.pictures == ()
    assert case.thumbhash is None


def program(path: Path, body: str) -> Tools:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="ascii")
    path.chmod(0o755)
    return Tools(str(path), FOUND.ffprobe)


@pytest.mark.parametrize(
    ("body", "reason"), [("exit 1", "no_frame"), ("exec head -c 9999999 /dev/zero", "crashed")]
)
def test_a_failing_ffmpeg_does_not_fail_the_medium(tmp_path, body: str, reason: str) -> None:
    tools = program(tmp_path / "ffmpeg", body)
    case = finished(media.make_mp4(tmp_path / "clip"), tools=tools)
    assert case.thumbnail == Thumbnail("failed", reason, None, None)


def test_a_hanging_ffmpeg_is_given_up(tmp_path) -> None:
    path = media.make_mp4(tmp_path / "clip")
    kind = sniff(path.read_bytes()[:HEAD_BYTES])
    case = Case(path, Declared(), path.stat().st_size, kind)
    case = ProbeStep(LIMITS, FOUND, Sandbox(30))(case)
    tools = program(tmp_path / "ffmpeg", "exec sleep 60")
    case = ThumbnailStep(LIMITS, tools, Sandbox(0.5))(case)
    assert case.thumbnail == Thumbnail("failed", "timeout", None, None)


WEBP = Recipe(thumbnail_format="webp")
EVERY_IMAGE = [
    media.make_jpeg,
    media.make_png,
    media.make_webp,
    media.make_avif,
    media.make_heic,
    media.make_animated_gif,
    media.make_cmyk_jpeg,
    media.make_phone_jpeg,
    media.make_profiled_jpeg,
]


@pytest.mark.parametrize("make", EVERY_IMAGE)
def test_a_thumbnail_may_be_webp(tmp_path, make) -> None:
    path = make(tmp_path / "photo")
    (jpeg,), (webp,) = pictures(finished(path)), pictures(finished(path, recipe=WEBP))
    assert webp.size == jpeg.size
    far = [a - b for a, b in zip(ImageStat.Stat(webp).mean, ImageStat.Stat(jpeg).mean, strict=True)]
    assert max(map(abs, far)) < 4
    assert getattr(webp, "n_frames", 1) == 1


def test_webp_keeps_transparency_and_a_jpeg_shows_white(tmp_path) -> None:
    path = media.make_alpha_png(tmp_path / "logo")
    (webp,) = pictures(finished(path, recipe=WEBP))
    assert webp.mode == "RGBA"
    assert (webp.getpixel((10, 10))[3], webp.getpixel((390, 10))[3]) == (255, 0)  # type: ignore[index]


def test_a_profile_is_applied_to_what_is_translucent_too(tmp_path) -> None:
    path = media.make_profiled_jpeg(tmp_path / "photo")
    with Image.open(path) as image:
        profile = image.info["icc_profile"]
    media.picture(mode="RGBA").save(path, "PNG", icc_profile=profile)
    (webp,) = pictures(finished(path, recipe=WEBP))
    assert close(webp.getpixel((390, 10))[:3], (media.RED[1], media.RED[0], media.RED[2]), 50)  # type: ignore[index]


def test_a_video_may_have_a_webp_too(tmp_path) -> None:
    (image,) = pictures(finished(media.make_mp4(tmp_path / "clip"), recipe=WEBP))
    assert image.size == (320, 240)


SIZES = Recipe(thumbnail_sizes=(320, 1280, 64))


@pytest.mark.parametrize(
    ("size", "found"),
    [
        ((2000, 1000), [(640, 320), (320, 160), (1280, 640), (64, 32)]),
        ((500, 1000), [(320, 640), (160, 320), (500, 1000), (32, 64)]),
        ((120, 100), [(120, 100), (120, 100), (120, 100), (64, 53)]),
    ],
)
def test_further_sizes_are_never_larger_than_the_original(tmp_path, size, found) -> None:
    path = media.make_jpeg(tmp_path / "photo", *size)
    assert [image.size for image in pictures(finished(path, recipe=SIZES))] == found


def test_further_sizes_of_a_video(tmp_path) -> None:
    path = media.make_mp4(tmp_path / "clip", seconds=1, size="640x360")
    case = finished(path, Limits(thumbnail_side=200), recipe=SIZES)
    sizes = [image.size for image in pictures(case)]
    assert sizes == [(200, 113), (320, 180), (640, 360), (64, 36)]


@pytest.mark.parametrize("recipe", [PLAIN, WEBP, SIZES])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_no_byte_of_anything_private_is_in_a_picture(tmp_path, recipe: Recipe, form: str) -> None:
    secret = b"at 52.5200 N 13.4050 E"
    exif = Image.Exif()
    exif[0x010E] = secret.decode()
    exif.get_ifd(media.GPS).update({1: "N", 2: (52.0, 31.0, 12.0)})
    extra: dict[str, object] = {"exif": exif.tobytes(), "xmp": b"<x>" + secret + b"</x>"}
    if form == "JPEG":
        extra["comment"] = secret
    if form == "PNG":
        notes = PngImagePlugin.PngInfo()
        notes.add_text("Comment", secret.decode())
        extra["pnginfo"] = notes
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "photo"
    media.picture(800, 600).save(path, form, icc_profile=profile, **extra)
    assert secret in path.read_bytes()
    for each in finished(path, recipe=recipe).pictures:
        for trace in (secret[:8], b"Exif", b"GPS", b"ICC", b"acsp", b"xmp", b"XMP", b"http"):
            assert trace not in each.data


def test_the_placeholder_has_the_pictures_colours(tmp_path) -> None:
    red, blue = tmp_path / "red", tmp_path / "blue"
    Image.new("RGB", (300, 200), media.RED).save(red, "JPEG")
    Image.new("RGB", (300, 200), media.BLUE).save(blue, "JPEG")
    hashes = {finished(path).thumbhash for path in (red, blue)}
    assert len(hashes) == 2
    assert None not in hashes


def test_a_video_has_the_placeholder_of_its_poster(tmp_path) -> None:
    case = finished(media.make_phone_mp4(tmp_path / "clip", 0, seconds=1))
    assert case.thumbhash is not None
    still = Image.open(io.BytesIO(case.pictures[0].data))
    ours, theirs = (base64.b64decode(text) for text in (case.thumbhash, placeholder(still)))
    assert ours[3:5] == theirs[3:5]


def clip(path: Path) -> Clip:
    assert FOUND.ffmpeg is not None
    kind = sniff(path.read_bytes()[:HEAD_BYTES])
    case = Case(path, Declared(), path.stat().st_size, kind)
    return Clip(ProbeStep(LIMITS, FOUND, Sandbox(30))(case), FOUND.ffmpeg, Sandbox(30))


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every program that the sandbox was told to run."""
    started: list[object] = []
    run = Sandbox.run

    def counting(self: Sandbox, argv: Sequence[str], *arguments: int, **options: int) -> Finished:
        if argv[0] == FOUND.ffmpeg:
            started.append(argv)
        return run(self, argv, *arguments, **options)

    monkeypatch.setattr(Sandbox, "run", counting)
    return started


@pytest.mark.parametrize(
    ("vf", "seconds", "tries"),
    [
        ("null", 6, 1),
        ("null", 1, 1),
        ("drawbox=color=black:t=fill:enable='lt(t,1.2)'", 6, 2),
        ("drawbox=color=white:t=fill:enable='lt(t,2)'", 6, 3),
        ("gblur=sigma=6:enable='lt(t,1.2)'", 6, 2),
        ("gblur=sigma=6:enable='lt(t,4)'", 6, 4),
        ("fade=in:d=2.5", 6, 2),
        ("gblur=sigma=6:enable='between(t,0.4,0.8)'", 6, 2),
    ],
)
def test_a_poster_is_neither_black_nor_blurred(
    tmp_path, children: list[object], vf: str, seconds: float, tries: int
) -> None:
    found = clip(media.make_filtered_mp4(tmp_path / "clip", vf, seconds))
    still = best_still(found, 640)
    assert still is not None
    look = Look(still)
    assert look.good, (look.lightness, look.contrast, look.sharpness)
    assert len(children) == tries


def test_of_poor_frames_the_sharpest_is_taken(tmp_path, children: list[object]) -> None:
    blur = "gblur=sigma=12,gblur=sigma=12:enable='not(between(t,2.5,3.5))'"
    found = clip(media.make_filtered_mp4(tmp_path / "clip", blur, 6))
    size = fitted_size(found.track, 640)
    least, middle = (found.frame(["-ss", at], size) for at in ("1", "3"))
    assert least is not None
    assert middle is not None
    assert not Look(middle).good
    del children[:]
    still = best_still(found, 640)
    assert still is not None
    assert still.tobytes() == middle.tobytes()
    assert len(children) == 4


def test_looks_are_judged_alike_at_any_size() -> None:
    sharp = media.picture(1280, 960)
    blurred = sharp.filter(ImageFilter.GaussianBlur(12))
    assert Look(sharp).good
    assert Look(sharp.resize((640, 480))).good
    assert not Look(blurred).good
    assert not Look(blurred.resize((640, 480))).good
    assert not Look(Image.new("RGB", (640, 2), "red")).good
