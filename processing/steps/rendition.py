"""A copy of a video that every browser plays: H.264 and AAC in an MP4 that starts at once."""

import errno
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from processing.containers import is_truncated
from processing.examined import Derivative
from processing.sandbox import Allowance, Finished
from processing.sniff import MP4
from processing.steps.ffprobe import CODECS, safe_input
from processing.steps.frames import QUIET, Clip, looks, square_size
from processing.telling import tell

Absence = Literal["pending", "skipped", "failed"]

CONTENT_TYPE: Final = "video/mp4"

_SOUND_CODECS: Final = (
    *("aac", "mp3", "mp3float", "opus", "libopus", "vorbis", "libvorbis", "alac", "ac3", "eac3"),
    *("amrnb", "amrwb", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_f32le", "pcm_mulaw"),
)
_SOUND_BITS: Final = 128_000
_BITS_PER_PIXEL: Final = 4
_LEAST_BITS: Final = 400_000
_THREADS: Final = 2
# Its own thread for reading, the encoder's and the decoder's all count.
_CPU_PER_SECOND: Final = 2 * _THREADS
_SLACK_BYTES: Final = 4 * 1024 * 1024
_TOO_LARGE: Final = os.strerror(errno.EFBIG)
_OUT_TIME: Final = re.compile(rb"out_time_us=(\d+)")


@dataclass(frozen=True, slots=True)
class Rendition:
    """How one is made: `side` is the shorter side in pixels, never more than the original's."""

    side: int
    timeout_seconds: float

    @property
    def name(self) -> str:
        """As people call it, such as `720p`."""
        return f"{self.side}p"

    def make(self, clip: Clip, into: Path) -> Derivative:
        """Write the MP4 into the folder `into`; a failure is told by the status.

        Its bit rate is bounded, and so is its file, whatever the original claims or holds.
        Raises what the sandbox raises, and OSError when the disk is full.
        """
        path = into / f"{self.name}.mp4"
        if not clip.sandbox.confinement().one_file:
            return self._without("skipped", "sandbox_missing", path)
        done = Finished(0, b"", "")
        for look in looks(clip.track):
            path.write_bytes(b"")
            done = self._transcode(clip, path, look)
            _refuse_full_disk(done)
            if done.status == 0 and _is_whole(done, path):
                size = rendition_size(clip, self.side)
                return Derivative(self.name, CONTENT_TYPE, path.name, *size, path.stat().st_size)
        if "Unknown encoder" in done.log:
            return self._without("skipped", "encoder_missing", path)
        return self._without("failed", _reason(done), path)

    def _without(self, status: Absence, reason: str, path: Path) -> Derivative:
        path.unlink(missing_ok=True)
        return without(self.name, CONTENT_TYPE, path.name, status, reason)

    def _transcode(self, clip: Clip, path: Path, look: str) -> Finished:
        width, height = rendition_size(clip, self.side)
        bits = max(_LEAST_BITS, width * height * _BITS_PER_PIXEL)
        most_bytes = _SLACK_BYTES + int((bits + _SOUND_BITS) * (clip.duration + 1) / 8 * 1.5)
        allowance = Allowance(
            cpu_seconds=round(self.timeout_seconds * _CPU_PER_SECOND),
            file_bytes=most_bytes,
            reads=clip.case.source,
            writes=path,
            nice=10,
        )
        picture = f"scale={width}:{height},setsar=1,{look}format=yuv420p"
        return clip.sandbox.run(
            [
                *(clip.ffmpeg, *QUIET, "-codec_whitelist", ",".join((*CODECS, *_SOUND_CODECS))),
                *safe_input(clip.case.source, clip.kind),
                *("-map", f"0:{clip.track.index}", "-map", "0:a:0?", "-sn", "-dn"),
                *("-t", f"{clip.duration + 1:.3f}", "-vf", picture),
                *("-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-profile:v", "high"),
                *("-maxrate", str(bits), "-bufsize", str(2 * bits), "-threads", str(_THREADS)),
                *("-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709"),
                *("-c:a", "aac", "-b:a", str(_SOUND_BITS), "-ac", "2"),
                # Neither what the original says of itself nor when and by what this was made.
                *("-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"),
                *("-flags:v", "+bitexact", "-flags:a", "+bitexact"),
                *("-movflags", "+faststart", "-progress", "pipe:1", "-f", "mp4", "-y"),
                f"file:{path}",
            ],
            allowance=allowance,
            hear=_progress(self.name, clip.duration),
        )


def rendition_size(clip: Clip, side: int) -> tuple[int, int]:
    """Width and height, even, the shorter at most `side`, none longer than the original's."""
    width, height = square_size(clip.track)
    factor = min(1.0, side / min(width, height))
    # Not rounded up: nothing is scaled beyond the original.
    return max(2, int(width * factor / 2 + 1e-6) * 2), max(2, int(height * factor / 2 + 1e-6) * 2)


def without(
    name: str, content_type: str, path: str, status: Absence, reason: str | None
) -> Derivative:
    """A derivative that is not there: `pending`, `skipped` or `failed`."""
    return Derivative(name, content_type, path, None, None, None, status, reason)


def _refuse_full_disk(done: Finished) -> None:
    if any(os.strerror(each) in done.log for each in (errno.ENOSPC, errno.EDQUOT)):
        raise OSError(f"The disk does not take the rendition: {done.log}")


def _is_whole(done: Finished, path: Path) -> bool:
    # ffmpeg ends with 0 when the last of its bytes, the index among them, could not be written.
    return _TOO_LARGE not in done.log and not is_truncated(path, MP4)


def _reason(done: Finished) -> str:
    return "too_large" if _TOO_LARGE in done.log else "unreadable"


def _progress(name: str, duration: float) -> Callable[[bytes], None]:
    def hear(piece: bytes) -> None:
        if times := _OUT_TIME.findall(piece):
            tell(name, min(1.0, int(times[-1]) / 1e6 / duration) if duration else None)

    return hear
