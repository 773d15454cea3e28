"""From a finished upload to a checked medium with a thumbnail: the list of steps, in order."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from processing.clamd import Clamd
from processing.declared import Declared
from processing.examined import Examined
from processing.limits import Limits
from processing.sandbox import Sandbox
from processing.steps.case import Case, Picture, Step
from processing.steps.digest import digest_step
from processing.steps.probe import ProbeStep
from processing.steps.scan import ScanStep
from processing.steps.sniff import sniff_step
from processing.steps.strip import StripStep
from processing.steps.thumbnail import ThumbnailStep
from processing.steps.validate import SizeStep, ValidateStep
from processing.telling import tell
from processing.tools import Tools

__all__ = ["Declared", "Pipeline"]


@dataclass(frozen=True)
class Pipeline:
    """Examines media one by one; one instance serves all threads of a process.

    `timeout_seconds` bounds each child process by itself. A medium needs one or two, a video
    with a thumbnail at most ten.
    """

    limits: Limits
    tools: Tools
    timeout_seconds: float
    clamd: Clamd | None = None
    strip_metadata: bool = False
    steps: tuple[Step, ...] = field(init=False)

    def __post_init__(self) -> None:
        sandbox = Sandbox(self.timeout_seconds)
        probe = ProbeStep(self.limits, self.tools, sandbox)
        steps: tuple[Step, ...] = (
            sniff_step,
            SizeStep(self.limits),
            *([] if self.clamd is None else [ScanStep(self.clamd)]),
            probe,
            ValidateStep(self.limits),
            *([StripStep(sandbox, probe)] if self.strip_metadata else []),
            digest_step,
            ThumbnailStep(self.limits, self.tools, sandbox),
        )
        object.__setattr__(self, "steps", steps)

    def examine(self, source: Path, declared: Declared, thumbnail_to: Path) -> Examined:
        """Check and measure the file at `source`, and write its thumbnail to `thumbnail_to`.

        The source is only read. The thumbnail, a JPEG, appears whole and synced or not at all;
        its directory must exist. Where the source had to be stripped of metadata, the result lies
        beside the thumbnail under the name `STRIPPED`. Repeating the call repeats the result.
        Raises Rejected when the medium breaks a rule, for good, and NotNow when the scanner is
        away; any other exception is the machine's fault, and the call may be tried again.
        """
        source = source.absolute()
        size = source.stat().st_size
        case = Case(source, declared, size, folder=thumbnail_to.parent)
        for number, step in enumerate(self.steps):
            tell(step.__module__.rpartition(".")[2], number / len(self.steps))
            case = step(case)
        if case.picture is not None:
            _write(case.picture, thumbnail_to)
        return _summary(case)


def _write(picture: Picture, target: Path) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(picture.jpeg)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _summary(case: Case) -> Examined:
    if case.kind is None or case.sha256 is None or case.thumbnail is None:
        raise ValueError("Every step must have run before the summary.")
    kind, thumbnail = case.kind, case.thumbnail
    if case.image is not None:
        return Examined(
            media_type=kind.media_type,
            content_type=kind.content_type,
            width=case.image.width,
            height=case.image.height,
            duration=None,
            codec=None,
            bitrate=None,
            fps=None,
            rotation=case.image.rotation,
            size=case.size,
            sha256=case.sha256,
            probe="pillow",
            thumbnail=thumbnail,
            stripped=case.stripped,
        )
    if case.video is None:
        raise ValueError("The medium must be probed before the summary.")
    track, duration = case.video.tracks[0], case.video.duration
    width, height = track.displayed
    return Examined(
        media_type=kind.media_type,
        content_type=kind.content_type,
        width=width,
        height=height,
        duration=round(duration, 3),
        codec=track.codec,
        bitrate=case.video.bitrate or round(case.size * 8 / duration),
        fps=round(track.fps, 3) or None,
        rotation=track.rotation,
        size=case.size,
        sha256=case.sha256,
        probe=case.video.by,
        thumbnail=thumbnail,
        stripped=case.stripped,
    )
