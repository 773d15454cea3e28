"""The rules a medium must keep to be accepted."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one installation; sizes in bytes, durations in seconds, sides in pixels."""

    video_min_seconds: float = 1.0
    video_max_seconds: float = 180.0
    video_max_side: int = 4096
    video_max_size: int = 500 * MIB
    image_min_side: int = 100
    image_max_side: int = 4096
    image_max_size: int = 20 * MIB
    thumbnail_side: int = 640
