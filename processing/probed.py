"""What a probe found in a video, whichever probe it was."""

from dataclasses import dataclass, field
from typing import Final, Literal

_SUSPECT: Final = 1.5
# A pixel four times as wide as high is no camera's, but a mistake.
_NARROWEST: Final = 1 / 4


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """One moving picture: stored size in pixels, clockwise `rotation` in degrees."""

    index: int
    codec: str
    width: int
    height: int
    rotation: int = 0
    duration: float = 0.0
    frames: int = 0
    fps: float = 0.0
    aspect: float = 1.0
    transfer: str = ""

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height after the rotation, in stored pixels, square or not."""
        return self._turned(self.width, self.height)

    @property
    def displayed(self) -> tuple[int, int]:
        """Width and height as a player shows them, in square pixels."""
        plausible = _NARROWEST <= self.aspect <= 1 / _NARROWEST
        return self._turned(round(self.width * (self.aspect if plausible else 1)), self.height)

    def _turned(self, width: int, height: int) -> tuple[int, int]:
        return (height, width) if self.rotation % 180 == 90 else (width, height)

    @property
    def longest(self) -> float:
        """Seconds this track lasts; frames count when they contradict the header."""
        counted = self.frames / self.fps if self.fps else 0.0
        return counted if counted > _SUSPECT * self.duration else self.duration


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe's findings: times in seconds, 0.0 for unknown, `bitrate` in bits per second."""

    by: Literal["ffprobe", "mediainfo"]
    tracks: tuple[VideoTrack, ...]
    container_duration: float = 0.0
    other_durations: tuple[float, ...] = field(default=())
    bitrate: int | None = None
    truncated: bool = False

    @property
    def duration(self) -> float:
        """The longest that anything in the file claims, for headers lie; 0.0 is unknown."""
        claims = (track.longest for track in self.tracks)
        return max(self.container_duration, *self.other_durations, *claims, 0.0)


def clockwise(degrees: float) -> int:
    """Round a turn to 0, 90, 180 or 270."""
    return round(degrees / 90) % 4 * 90
