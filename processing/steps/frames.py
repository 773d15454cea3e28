"""Single frames of a video as pixels, made square, upright and SDR by ffmpeg in the sandbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image

from processing.probed import VideoTrack
from processing.sandbox import Allowance, Sandbox
from processing.sniff import Kind
from processing.steps.case import Case
from processing.steps.ffprobe import CODECS, safe_input

_HDR: Final = ("arib-std-b67", "smpte2084")
_TONE_MAPPED: Final = (
    "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,"
    "zscale=t=bt709:m=bt709:r=tv,"
)

QUIET: Final = ("-v", "error", "-nostdin", "-threads", "2", "-filter_threads", "1")


@dataclass(frozen=True, slots=True)
class Clip:
    """A probed video and the ffmpeg that reads it."""

    case: Case
    ffmpeg: str
    sandbox: Sandbox

    @property
    def track(self) -> VideoTrack:
        """The moving picture that players show."""
        if self.case.video is None:
            raise ValueError("The video must be probed before it is read.")
        return self.case.video.tracks[0]

    @property
    def duration(self) -> float:
        """Seconds; the longest that anything in the file claims."""
        return self.case.video.duration if self.case.video else 0.0

    @property
    def kind(self) -> Kind:
        """The sniffed type."""
        if self.case.kind is None:
            raise ValueError("The kind must be known before the video is read.")
        return self.case.kind

    def frame(self, seek: Sequence[str], size: tuple[int, int]) -> Image.Image | None:
        """The first frame behind `seek`, options of ffmpeg; None past the end."""
        pixels = self.pixels(seek, size, "", 1)
        return Image.frombytes("RGB", size, pixels) if pixels else None

    def pixels(
        self, options: Sequence[str], size: tuple[int, int], pick: str, most_frames: int
    ) -> bytes:
        """RGB pixels of whole frames of `size`, one after the other, `most_frames` at most.

        `options` go before the input; `pick` is a filter that chooses frames, with a comma
        behind it, or nothing.
        """
        scale = f"{pick}scale={size[0]}:{size[1]}:flags=area,setsar=1,"
        frame_bytes = 3 * size[0] * size[1]
        # Where ffmpeg has nothing to show it exits with 0 and no frame.
        for look in looks(self.track):
            done = self.sandbox.run(
                [
                    *(self.ffmpeg, *QUIET, "-codec_whitelist", ",".join((*CODECS, "rawvideo"))),
                    *(*options, *safe_input(self.case.source, self.kind)),
                    *("-map", f"0:{self.track.index}", "-frames:v", str(most_frames)),
                    *("-vf", f"{scale}{look}format=rgb24", "-f", "rawvideo", "pipe:1"),
                ],
                most_output=most_frames * frame_bytes,
                allowance=Allowance(reads=self.case.source),
            )
            if done.stdout:
                return done.stdout[: len(done.stdout) // frame_bytes * frame_bytes]
        return b""


def looks(track: VideoTrack) -> Sequence[str]:
    """Filters that bring the track's colours to a screen, best first.

    A plain conversion is tried last, for not every ffmpeg is built with zscale.
    """
    return (_TONE_MAPPED, "") if track.transfer in _HDR else ("",)


def square_size(track: VideoTrack) -> tuple[float, float]:
    """The displayed size, its pixels made square."""
    width, height = float(track.width), float(track.height)
    if 1 / 4 <= track.aspect <= 4:
        width *= track.aspect
    return (height, width) if track.rotation % 180 == 90 else (width, height)


def fitted_size(track: VideoTrack, side: int) -> tuple[int, int]:
    """Fit the displayed picture into `side`, never larger than it is."""
    width, height = square_size(track)
    factor = min(1.0, side / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))
