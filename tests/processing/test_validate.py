import pytest

from processing.limits import MIB, Limits
from processing.probed import Probed, VideoTrack
from processing.reasons import REASONS, Reason, Rejected
from processing.sniff import JPEG, MP4
from processing.steps.case import Image
from processing.steps.ffprobe import CODECS
from processing.steps.validate import image_faults, too_large, video_faults

LIMITS = Limits()


def video(seconds: float = 10, codec: str = "h264", width: int = 320, height: int = 240) -> Probed:
    return Probed("ffprobe", (VideoTrack(0, codec, width, height),), seconds)


def told(faults) -> list[tuple[str, str]]:
    return [(reason.code, reason.message) for reason in faults]


@pytest.mark.parametrize("seconds", [0.96, 1, 60, 180, 180.04])
def test_lengths_within_the_limits(seconds: float) -> None:
    assert told(video_faults(LIMITS, video(seconds))) == []


@pytest.mark.parametrize(
    ("seconds", "fault"),
    [
        (
            0,
            (
                "duration_unknown",
                "The video does not say how long it lasts; export it again as MP4.",
            ),
        ),
        (0.5, ("video_too_short", "The video lasts 0.5 s; at least 1 s are required.")),
        (180.06, ("video_too_long", "The video lasts 180.1 s; at most 180 s are allowed.")),
        (181, ("video_too_long", "The video lasts 181.0 s; at most 180 s are allowed.")),
    ],
)
def test_lengths_outside(seconds: float, fault: tuple[str, str]) -> None:
    assert told(video_faults(LIMITS, video(seconds))) == [fault]


@pytest.mark.parametrize("codec", CODECS)
def test_listed_codecs(codec: str) -> None:
    assert told(video_faults(LIMITS, video(codec=codec))) == []


def test_an_unlisted_codec_is_named() -> None:
    [(code, message)] = told(video_faults(LIMITS, video(codec="prores")))
    assert code == "codec_not_allowed"
    assert message == f"The video is coded as prores; allowed are {', '.join(CODECS)}."


def test_sides_of_a_video() -> None:
    assert told(video_faults(LIMITS, video(width=4096, height=4096))) == []
    assert told(video_faults(LIMITS, video(width=4098, height=100))) == [
        (
            "video_too_large_dimensions",
            "The video is 4098 x 100 px; a side may have at most 4096 px.",
        )
    ]


def test_every_track_and_every_broken_rule_is_told() -> None:
    tracks = VideoTrack(0, "h264", 320, 240), VideoTrack(1, "prores", 5000, 240, rotation=90)
    codes = [reason.code for reason in video_faults(LIMITS, Probed("ffprobe", tracks, 0.2))]
    assert codes == ["codec_not_allowed", "video_too_large_dimensions", "video_too_short"]


def test_no_track() -> None:
    faults = told(video_faults(LIMITS, Probed("ffprobe", (), 10)))
    assert [code for code, _ in faults] == ["no_video_track"]


@pytest.mark.parametrize(
    ("width", "height", "codes"),
    [
        (100, 100, []),
        (4096, 4096, []),
        (99, 400, ["image_too_small"]),
        (400, 99, ["image_too_small"]),
        (4097, 400, ["image_too_large_dimensions"]),
        (5000, 50, ["image_too_small", "image_too_large_dimensions"]),
    ],
)
def test_sides_of_an_image(width: int, height: int, codes: list[str]) -> None:
    faults = list(image_faults(LIMITS, Image(width, height, 0, (), None)))
    assert [reason.code for reason in faults] == codes
    assert all(f"{width} x {height} px" in reason.message for reason in faults)


def test_bytes() -> None:
    assert too_large(LIMITS, JPEG, 20 * MIB) is None
    assert too_large(LIMITS, MP4, 500 * MIB) is None
    assert too_large(LIMITS, JPEG, 21 * MIB) == Reason(
        "file_too_large", "The image has 21 MiB; at most 20 MiB are allowed."
    )
    assert too_large(LIMITS, MP4, 500 * MIB + MIB // 2) == Reason(
        "file_too_large", "The video has 500.5 MiB; at most 500 MiB are allowed."
    )


def test_reasons_are_a_closed_list() -> None:
    with pytest.raises(ValueError, match="'bad_mood' is not a reason"):
        Reason("bad_mood", "No.")
    with pytest.raises(ValueError, match="at least one"):
        Rejected()


def test_a_rejection_reads_as_its_sentences() -> None:
    first, second = Reason("truncated", "One."), Reason("unreadable", "Two.")
    assert str(Rejected(first, second)) == "One. Two."
    assert Rejected(first, second).reasons == (first, second)
    assert all(line.endswith(".") for line in REASONS.values())
