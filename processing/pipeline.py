"""From a finished upload to a checked medium with a thumbnail: the list of steps, in order."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from processing.clamd import Clamd
from processing.declared import Declared
from processing.deriving import planned
from processing.examined import Derivative, Examined
from processing.limits import Limits
from processing.pictures import EXTENSIONS
from processing.recipe import THUMBNAIL, Recipe
from processing.sandbox import Sandbox
from processing.steps.case import Case, Step
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
    recipe: Recipe = field(default_factory=Recipe)
    steps: tuple[Step, ...] = field(init=False)

    def __post_init__(self) -> None:
        sandbox = Sandbox(self.timeout_seconds)
        probe = ProbeStep(self.limits, self.tools, sandbox, self.recipe)
        steps: tuple[Step, ...] = (
            sniff_step,
            SizeStep(self.limits),
            *([] if self.clamd is None else [ScanStep(self.clamd)]),
            probe,
            ValidateStep(self.limits),
            *([StripStep(sandbox, probe)] if self.strip_metadata else []),
            digest_step,
            ThumbnailStep(self.limits, self.tools, sandbox, self.recipe),
        )
        object.__setattr__(self, "steps", steps)

    def examine(self, source: Path, declared: Declared, into: Path) -> Examined:
        """Check and measure the file at `source`, and write its pictures into the folder `into`.

        The source is only read. The thumbnail is called `thumbnail`; each derivative says its
        own name in `path`. Where the source had to be stripped of metadata, the result lies
        beside them under the name `STRIPPED`. Repeating the call repeats the result.
        Raises Rejected when the medium breaks a rule, for good, and NotNow when the scanner is
        away; any other exception is the machine's fault, and the call may be tried again.
        """
        source = source.absolute()
        size = source.stat().st_size
        case = Case(source, declared, size, folder=into)
        for number, step in enumerate(self.steps):
            tell(step.__module__.rpartition(".")[2], number / len(self.steps))
            case = step(case)
        return replace(_summary(case), derivatives=(*self._sizes(case, into), *self._later(case)))

    def _sizes(self, case: Case, into: Path) -> tuple[Derivative, ...]:
        """Write the thumbnail and its further sizes; describe the latter."""
        if not case.pictures:
            return ()
        form = self.recipe.thumbnail_format
        thumbnail, *others = case.pictures
        (into / THUMBNAIL).write_bytes(thumbnail.data)
        found = []
        for side, picture in zip(self.recipe.thumbnail_sizes, others, strict=True):
            name = f"{THUMBNAIL}-{side}"
            path = into / (name + EXTENSIONS[form])
            path.write_bytes(picture.data)
            size = picture.width, picture.height, len(picture.data)
            found.append(Derivative(name, f"image/{form}", path.name, *size))
        return tuple(found)

    def _later(self, case: Case) -> tuple[Derivative, ...]:
        return planned(self.recipe, self.tools) if case.video is not None else ()


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
            thumbhash=case.thumbhash,
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
        thumbhash=case.thumbhash,
    )
