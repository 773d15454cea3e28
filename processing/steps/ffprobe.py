"""Read a video with ffprobe, which believes the coded stream more than the headers."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from processing.probed import Probed, VideoTrack, clockwise
from processing.reasons import Reason, Rejected
from processing.sandbox import Allowance, Sandbox
from processing.sniff import WEBM, Kind

CODECS: Final = ("h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "h263", "mjpeg")
"""The video codecs of phones and browsers, by ffmpeg's names; the closed list of what is taken.

Left out on purpose: ProRes and other mastering codecs, which no browser plays.
"""


def safe_input(source: Path, kind: Kind) -> list[str]:
    """Options for ffprobe and ffmpeg to read `source` as its sniffed format and nothing else."""
    demuxer = "matroska" if kind == WEBM else "mov"
    return [
        *("-protocol_whitelist", "file", "-format_whitelist", demuxer),
        *("-i", f"file:{source}"),
    ]


@dataclass(frozen=True, slots=True)
class Ffprobe:
    """The program at `path`, run in `sandbox`."""

    path: str
    sandbox: Sandbox

    def probe(self, source: Path, kind: Kind) -> Probed:
        """Read the headers; raises Rejected(`unreadable`) and what the sandbox raises."""
        found = json.loads(self._read(source, kind, "-show_format", "-show_streams", "-of", "json"))
        streams, container = found.get("streams", []), found.get("format", {})
        tracks, others = [], []
        for stream in streams:
            if stream.get("codec_type") != "video":
                others.append(_number(stream, "duration"))
            elif not stream.get("disposition", {}).get("attached_pic"):
                tracks.append(_track(stream))
        return Probed(
            by="ffprobe",
            tracks=tuple(tracks),
            container_duration=_number(container, "duration"),
            other_durations=tuple(others),
            bitrate=int(_number(container, "bit_rate")) or None,
        )

    def scanned_duration(self, source: Path, kind: Kind) -> float:
        """Measure seconds by the time stamps of all video packets; 0.0 when there are none."""
        text = self._read(
            *(
                source,
                kind,
                "-select_streams",
                "v",
                "-show_entries",
                "packet=pts_time,duration_time",
            ),
            *("-of", "csv=p=0"),
        )
        begins, ends = [], []
        for line in text.decode("ascii", "replace").splitlines():
            begin, _, length = line.strip(",").partition(",")
            begins.append(_float(begin))
            ends.append(_float(begin) + _float(length))
        return max(ends) - min(begins) if begins else 0.0

    def _read(self, source: Path, kind: Kind, *options: str) -> bytes:
        done = self.sandbox.run(
            [self.path, "-v", "error", *options, *safe_input(source, kind)],
            allowance=Allowance(reads=source),
        )
        if done.status != 0:
            message = "The video cannot be read; export it again and upload the new file."
            raise Rejected(Reason("unreadable", message))
        return done.stdout


def _track(stream: Mapping[str, Any]) -> VideoTrack:
    # Display matrices turn counter-clockwise.
    turns = [-_number(data, "rotation") for data in stream.get("side_data_list", [])]
    return VideoTrack(
        index=int(_number(stream, "index")),
        codec=str(stream.get("codec_name", "unknown")),
        width=int(_number(stream, "width")),
        height=int(_number(stream, "height")),
        rotation=clockwise(next((turn for turn in turns if turn), 0.0)),
        duration=_number(stream, "duration"),
        frames=int(_number(stream, "nb_frames")),
        fps=_ratio(stream.get("avg_frame_rate", "")),
        aspect=_ratio(str(stream.get("sample_aspect_ratio", "")).replace(":", "/")) or 1.0,
        transfer=str(stream.get("color_transfer", "")),
    )


def _number(values: Mapping[str, Any], name: str) -> float:
    return _float(values.get(name))


def _float(value: object) -> float:
    """Read a number as ffprobe prints it; N/A and nonsense are 0.0."""
    try:
        number = float(str(value))
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _ratio(text: str) -> float:
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        return 0.0
