"""Read a video with libmediainfo inside the sandbox, for machines without ffprobe.

It believes the stored size where ffprobe looks at the coded stream, so ffprobe is preferred.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from processing.probed import Probed, VideoTrack, clockwise
from processing.sandbox import Sandbox
from processing.sniff import WEBM, Kind

_CODECS: Final = {
    "AVC": "h264",
    "HEVC": "hevc",
    "AV1": "av1",
    "VP8": "vp8",
    "VP9": "vp9",
    "MPEG-4 Visual": "mpeg4",
    "H.263": "h263",
    "JPEG": "mjpeg",
}


@dataclass(frozen=True, slots=True)
class Mediainfo:
    """The library pymediainfo brings along, run in `sandbox`."""

    sandbox: Sandbox

    def probe(self, source: Path, kind: Kind) -> Probed:
        """Read the headers; raises what the sandbox raises."""
        answer = self.sandbox.ask("mediainfo", source=source)
        videos: list[VideoTrack] = []
        general: Mapping[str, Any] = {}
        others: list[float] = []
        samples = answer["samples"]
        for track in answer["tracks"]:
            if track["track_type"] == "Video":
                counted = samples[len(videos)] if len(videos) < len(samples) else 0
                videos.append(_track(len(videos), track, counted))
            elif track["track_type"] == "General":
                general = track
            else:
                others.append(_number(track, "duration") / 1000)
        return Probed(
            by="mediainfo",
            tracks=tuple(videos),
            container_duration=_number(general, "duration") / 1000,
            other_durations=tuple(others),
            bitrate=int(_number(general, "overall_bit_rate")) or None,
            # A live WebM states no end, which the library takes for a missing one.
            truncated=general.get("istruncated") == "Yes" and kind != WEBM,
        )


def _track(index: int, track: Mapping[str, Any], counted: int) -> VideoTrack:
    form = str(track.get("format") or "unknown")
    return VideoTrack(
        index=index,
        codec=_CODECS.get(form, form),
        width=int(_number(track, "width")),
        height=int(_number(track, "height")),
        rotation=clockwise(_number(track, "rotation")),
        duration=_number(track, "duration") / 1000,
        frames=max(counted, int(_number(track, "frame_count"))),
        fps=_number(track, "frame_rate"),
        aspect=_number(track, "pixel_aspect_ratio") or 1.0,
    )


def _number(values: Mapping[str, Any], name: str) -> float:
    try:
        number = float(values.get(name) or 0)
    except (TypeError, ValueError):
        return 0.0
    return number if math.isfinite(number) else 0.0
