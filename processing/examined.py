"""What is known of a medium once it has passed the pipeline."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """Whether there is a thumbnail, and of which size in pixels.

    `reason` is None when ready, else a code: `ffmpeg_missing` (skipped), or `no_frame`,
    `timeout`, `crashed` (failed).
    """

    status: Literal["ready", "skipped", "failed"]
    reason: str | None
    width: int | None
    height: int | None
    content_type: str = "image/jpeg"


@dataclass(frozen=True, slots=True)
class Derivative:
    """One more file made from a medium; its sides in pixels, its size in bytes.

    `name` is unique within its medium; `path` is relative to the data directory.
    """

    name: str
    content_type: str
    path: str
    width: int
    height: int
    size: int


@dataclass(frozen=True, slots=True)
class Examined:
    """The metadata of an accepted medium.

    `width` and `height` are as displayed, after `rotation`: the clockwise turn (0, 90, 180, 270)
    which a player has to apply to the stored picture. `duration` is in seconds, `bitrate` in bits
    per second, `fps` the average; these and `codec` are None for images. `probe` names what
    measured it: `ffprobe`, `mediainfo` or `pillow`. `size` and `sha256` are those of the file to
    be stored; `stripped` says that this is not the upload's but one without its metadata.
    """

    media_type: Literal["image", "video"]
    content_type: str
    width: int
    height: int
    duration: float | None
    codec: str | None
    bitrate: int | None
    fps: float | None
    rotation: int
    size: int
    sha256: str
    probe: str
    thumbnail: Thumbnail
    stripped: bool = False
