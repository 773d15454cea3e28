"""What takes long to make of a video, and is made when its medium can be seen already."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from processing.declared import Declared
from processing.examined import GAVE_UP, Derivative
from processing.limits import Limits
from processing.reasons import Rejected
from processing.recipe import STORYBOARD, Recipe
from processing.sandbox import Sandbox, SandboxFailure
from processing.steps.case import Case
from processing.steps.frames import Clip
from processing.steps.probe import ProbeStep
from processing.steps.rendition import CONTENT_TYPE, Absence, Rendition, without
from processing.steps.sniff import sniff_step
from processing.steps.storyboard import storyboard
from processing.telling import tell
from processing.tools import Tools


def planned(recipe: Recipe, tools: Tools) -> tuple[Derivative, ...]:
    """What is to be made of a video, by `recipe`: `pending`, or `skipped` without ffmpeg."""
    status: Absence = "pending" if tools.ffmpeg else "skipped"
    reason = None if tools.ffmpeg else "ffmpeg_missing"
    found = []
    if recipe.storyboard:
        found.append((STORYBOARD, "image/jpeg", f"{STORYBOARD}.jpg"))
        found.append((f"{STORYBOARD}.vtt", "text/vtt", f"{STORYBOARD}.vtt"))
    found += [(f"{side}p", CONTENT_TYPE, f"{side}p.mp4") for side in recipe.renditions]
    return tuple(without(*each, status, reason) for each in found)


def products(derivatives: Iterable[Derivative]) -> Sequence[Sequence[Derivative]]:
    """What is pending, or was given up, in groups that are made together."""
    groups: dict[str, list[Derivative]] = {}
    for each in derivatives:
        if each.status == "pending" or each.reason == GAVE_UP:
            groups.setdefault(each.name.removesuffix(".vtt"), []).append(each)
    return list(groups.values())


@dataclass(frozen=True)
class Deriver:
    """Makes derivatives one by one; one instance serves all threads of a process.

    `timeout_seconds` bounds each child process but those that make renditions.
    """

    limits: Limits
    tools: Tools
    timeout_seconds: float
    recipe: Recipe

    def make(self, source: Path, wanted: Sequence[Derivative], into: Path) -> Sequence[Derivative]:
        """Make what is `wanted`, which is one of `products`, of the video at `source`.

        Files go into the folder `into`. Whatever is wrong with the video is told by the status
        of what is returned; an exception is the machine's fault, and the call may be repeated.
        """
        if self.tools.ffmpeg is None:
            return _all(wanted, "skipped", "ffmpeg_missing")
        tell(wanted[0].name)
        try:
            made = self._made(source, wanted[0].name, into, self.tools.ffmpeg)
        except Rejected:
            return _all(wanted, "failed", "unreadable")
        except SandboxFailure as failure:
            reason = "timeout" if failure.kind == "timeout" else "crashed"
            return _all(wanted, "failed", reason)
        return made or _all(wanted, "failed", "no_frame")

    def _made(self, source: Path, name: str, into: Path, ffmpeg: str) -> Sequence[Derivative]:
        sandbox = Sandbox(self.timeout_seconds)
        case = sniff_step(Case(source.absolute(), Declared(), source.stat().st_size))
        case = ProbeStep(self.limits, self.tools, sandbox)(case)
        if case.video is None:
            raise ValueError("Storyboards and renditions are made of videos alone.")
        if name == STORYBOARD:
            return storyboard(Clip(case, ffmpeg, sandbox), self.recipe.storyboard, into)
        seconds = self.recipe.rendition_timeout_seconds
        side = int(name.removesuffix("p"))
        return (Rendition(side, seconds).make(Clip(case, ffmpeg, Sandbox(seconds)), into),)


def _all(wanted: Sequence[Derivative], status: Absence, reason: str) -> Sequence[Derivative]:
    return [
        without(each.name, each.content_type, Path(each.path).name, status, reason)
        for each in wanted
    ]
