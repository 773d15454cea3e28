"""What is known of a medium once it has passed the pipeline."""

from dataclasses import dataclass
from typing import Literal

GAVE_UP = "gave_up"
"""The reason of derivatives whose job was parked; its replay makes them after all."""


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
    """One more file made from a medium; its sides in pixels, its size in bytes, None if unknown.

    `name` is unique within its medium. `path` is relative to the data directory; it is
    reserved, and a file lies there only when the status is `ready`. `pending` ones are being
    made after the medium is ready. `reason` is None for these two, else a code:
    `ffmpeg_missing`, `encoder_missing`, `sandbox_missing` (skipped), `no_frame`, `unreadable`,
    `timeout`, `crashed`, `too_large`, `gave_up` (failed).
    """

    name: str
    content_type: str
    path: str
    width: int | None
    height: int | None
    size: int | None
    status: Literal["pending", "ready", "skipped", "failed"] = "ready"
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """The metadata of an accepted medium.

    `width` and `height` are as displayed, after `rotation`: the clockwise turn (0, 90, 180, 270)
    which a player has to apply to the stored picture. `duration` is in seconds, `bitrate` in bits
    per second, `fps` the average; these and `codec` are None for images. `probe` names what
    measured it: `ffprobe`, `mediainfo` or `pillow`. `size` and `sha256` are those of the file to
    be stored; `stripped` says that this is not the upload's but one without its metadata.
    `thumbhash` is in base64, None without a picture. The paths of `derivatives` are names in the
    folder that they were written to.
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
    thumbhash: str | None = None
    derivatives: tuple[Derivative, ...] = ()
