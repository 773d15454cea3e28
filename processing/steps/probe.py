"""Measure the medium: the only step that lets a decoder near bytes nobody has vouched for."""

import base64
from dataclasses import dataclass, field, replace
from typing import Any

from processing.containers import is_truncated
from processing.limits import Limits
from processing.probed import Probed
from processing.reasons import Reason, Rejected
from processing.recipe import Recipe
from processing.sandbox import MOST_OUTPUT, Sandbox, SandboxFailure, SandboxRefusal
from processing.sniff import Kind
from processing.steps.case import Case, Image, Picture
from processing.steps.ffprobe import Ffprobe
from processing.steps.mediainfo import Mediainfo
from processing.tools import Tools

_SENTENCES = {
    "truncated": "The end of the file is missing; upload the whole file.",
    "unreadable": "The {} cannot be read; export it again and upload the new file.",
    "unprocessable": (
        "The {} could not be examined within the time and memory allowed; export it again and "
        "upload the new file."
    ),
}

# Pure noise needs one, and base64 a third more.
_MOST_BYTES_PER_PIXEL = 2


def _fault(code: str, family: str) -> Rejected:
    return Rejected(Reason(code, _SENTENCES[code].format(family)))


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """Sets `image` or `video`.

    Raises Rejected with `truncated`, `unreadable` or `unprocessable`, the last also when the
    child crashed or was killed: the same bytes would do the same again.
    """

    limits: Limits
    tools: Tools
    sandbox: Sandbox
    recipe: Recipe = field(default_factory=Recipe)

    def __call__(self, case: Case) -> Case:
        """Measure one medium whose kind is known."""
        if case.kind is None:
            raise ValueError("The kind must be known before the probe.")
        family = case.kind.media_type
        if is_truncated(case.source, case.kind):
            raise _fault("truncated", family)
        try:
            if family == "image":
                return replace(case, image=self._image(case, case.kind))
            return replace(case, video=self._video(case, case.kind))
        except SandboxRefusal as refusal:
            raise _fault(refusal.code, family) from refusal
        except SandboxFailure as failure:
            raise _fault("unprocessable", family) from failure

    def _image(self, case: Case, kind: Kind) -> Image:
        sides = (self.limits.thumbnail_side, *self.recipe.thumbnail_sizes)
        answer = self.sandbox.ask(
            "image",
            MOST_OUTPUT + sum(_MOST_BYTES_PER_PIXEL * side * side for side in sides),
            source=case.source,
            content_type=kind.content_type,
            min_side=self.limits.image_min_side,
            max_side=self.limits.image_max_side,
            sides=sides,
            form=self.recipe.thumbnail_format,
        )
        pictures = tuple(_picture(each) for each in answer["pictures"])
        size = answer["width"], answer["height"]
        return Image(*size, answer["rotation"], pictures, answer["thumbhash"])

    def _video(self, case: Case, kind: Kind) -> Probed:
        if self.tools.ffprobe is None:
            video = Mediainfo(self.sandbox).probe(case.source, kind)
            if video.truncated:
                raise _fault("truncated", "video")
            return video
        ffprobe = Ffprobe(self.tools.ffprobe, self.sandbox)
        video = ffprobe.probe(case.source, kind)
        if video.tracks and not video.duration:
            scanned = ffprobe.scanned_duration(case.source, kind)
            return replace(video, container_duration=scanned)
        return video


def _picture(answer: dict[str, Any]) -> Picture:
    data = base64.b64decode(answer["data"], validate=True)
    return Picture(data, int(answer["width"]), int(answer["height"]))
