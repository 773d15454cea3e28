"""A still of a video that shows something: neither flat nor black, if there is such a frame."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from PIL import Image, ImageStat

from processing.examined import Thumbnail
from processing.limits import Limits
from processing.probed import Probed, VideoTrack
from processing.sandbox import Sandbox, SandboxFailure
from processing.steps.case import Case, Picture
from processing.steps.ffprobe import CODECS, safe_input
from processing.tools import Tools

JPEG_QUALITY: Final = 80

_LEAST_CONTRAST: Final = 12
_LIGHT: Final = (20, 240)
_HDR: Final = ("arib-std-b67", "smpte2084")
_TONE_MAPPED: Final = (
    "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,"
    "zscale=t=bt709:m=bt709:r=tv,"
)


@dataclass(frozen=True, slots=True)
class ThumbnailStep:
    """Sets `thumbnail`, and `picture` when it is ready.

    A video without ffmpeg is `skipped`; one of which no frame can be had is `failed`: a medium
    that passed the rules is not refused for want of a thumbnail.
    """

    limits: Limits
    tools: Tools
    sandbox: Sandbox

    def __call__(self, case: Case) -> Case:
        """Make the thumbnail of one valid medium."""
        if case.image is not None:
            return _with(case, case.image.picture)
        if self.tools.ffmpeg is None:
            return replace(case, thumbnail=Thumbnail("skipped", "ffmpeg_missing", None, None))
        try:
            return _with(case, self._still(case, self.tools.ffmpeg))
        except SandboxFailure as failure:
            reason = "timeout" if failure.kind == "timeout" else "crashed"
            return replace(case, thumbnail=Thumbnail("failed", reason, None, None))

    def _still(self, case: Case, ffmpeg: str) -> Picture | None:
        if case.video is None or case.kind is None:
            raise ValueError("The video must be probed before its thumbnail.")
        track = case.video.tracks[0]
        size = thumbnail_size(track, self.limits.thumbnail_side)
        source = safe_input(case.source, case.kind)
        best: Image.Image | None = None
        for seek in _moments(case.video):
            if best is not None and not seek:
                break
            pixels = self._frame([ffmpeg, *_QUIET, *seek, *source], track, size)
            if len(pixels) != 3 * size[0] * size[1]:
                continue
            frame = Image.frombytes("RGB", size, pixels)
            if _shows_something(frame):
                return _encoded(frame)
            best = frame if best is None or _contrast(frame) > _contrast(best) else best
        return None if best is None else _encoded(best)

    def _frame(self, argv: list[str], track: VideoTrack, size: tuple[int, int]) -> bytes:
        """Return raw RGB pixels, or none past the end, where ffmpeg exits with 0 and no frame."""
        scale = f"scale={size[0]}:{size[1]}:flags=area,setsar=1,"
        # A plain conversion is tried last, for not every ffmpeg is built with zscale.
        looks = (_TONE_MAPPED, "") if track.transfer in _HDR else ("",)
        for look in looks:
            done = self.sandbox.run(
                [
                    *(*argv, "-map", f"0:{track.index}", "-frames:v", "1"),
                    *("-vf", f"{scale}{look}format=rgb24", "-f", "rawvideo", "pipe:1"),
                ],
                most_output=3 * size[0] * size[1],
            )
            if done.stdout:
                return done.stdout
        return b""


_QUIET: Final = (
    *("-v", "error", "-nostdin", "-threads", "2", "-filter_threads", "1"),
    *("-codec_whitelist", ",".join((*CODECS, "rawvideo"))),
)


def thumbnail_size(track: VideoTrack, side: int) -> tuple[int, int]:
    """Fit the displayed picture, its pixels made square, into `side`, never larger than it is."""
    width, height = float(track.width), float(track.height)
    if 1 / 4 <= track.aspect <= 4:
        width *= track.aspect
    if track.rotation % 180 == 90:
        width, height = height, width
    factor = min(1.0, side / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _moments(video: Probed) -> Iterator[list[str]]:
    """Yield where to look, and last the first frame, for a clip in which no seek finds any."""
    for second in (min(1.0, video.duration / 10), video.duration / 4, video.duration / 2):
        yield ["-ss", f"{second:.3f}"]
    yield []


def _shows_something(frame: Image.Image) -> bool:
    mean = ImageStat.Stat(frame.convert("L")).mean[0]
    return _contrast(frame) >= _LEAST_CONTRAST and _LIGHT[0] <= mean <= _LIGHT[1]


def _contrast(frame: Image.Image) -> float:
    return ImageStat.Stat(frame.convert("L")).stddev[0]


def _encoded(frame: Image.Image) -> Picture:
    buffer = io.BytesIO()
    frame.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return Picture(buffer.getvalue(), frame.width, frame.height)


def _with(case: Case, picture: Picture | None) -> Case:
    if picture is None:
        return replace(case, thumbnail=Thumbnail("failed", "no_frame", None, None))
    ready = Thumbnail("ready", None, picture.width, picture.height)
    return replace(case, picture=picture, thumbnail=ready)
