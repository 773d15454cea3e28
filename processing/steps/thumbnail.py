"""The thumbnail, its further sizes and the placeholder: of an image, or of a video's best still."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from PIL import Image

from processing.examined import Thumbnail
from processing.limits import Limits
from processing.pictures import encoded, placeholder, shrunk
from processing.recipe import Recipe
from processing.sandbox import Sandbox, SandboxFailure
from processing.steps.case import Case, Picture
from processing.steps.frames import Clip, fitted_size
from processing.steps.poster import Look
from processing.tools import Tools


@dataclass(frozen=True, slots=True)
class ThumbnailStep:
    """Sets `thumbnail`, and `pictures` and `thumbhash` when it is ready.

    A video without ffmpeg is `skipped`; one of which no frame can be had is `failed`: a medium
    that passed the rules is not refused for want of a thumbnail.
    """

    limits: Limits
    tools: Tools
    sandbox: Sandbox
    recipe: Recipe = field(default_factory=Recipe)

    def __call__(self, case: Case) -> Case:
        """Make the thumbnail of one valid medium."""
        if case.image is not None and case.image.pictures:
            return self._with(case, case.image.pictures, case.image.thumbhash)
        if case.image is not None:
            return replace(case, thumbnail=Thumbnail("failed", "no_frame", None, None))
        if self.tools.ffmpeg is None:
            return replace(case, thumbnail=Thumbnail("skipped", "ffmpeg_missing", None, None))
        try:
            still = best_still(Clip(case, self.tools.ffmpeg, self.sandbox), max(self._sides))
        except SandboxFailure as failure:
            reason = "timeout" if failure.kind == "timeout" else "crashed"
            return replace(case, thumbnail=Thumbnail("failed", reason, None, None))
        if still is None:
            return replace(case, thumbnail=Thumbnail("failed", "no_frame", None, None))
        pictures = tuple(self._picture(still, side) for side in self._sides)
        return self._with(case, pictures, placeholder(still))

    @property
    def _sides(self) -> tuple[int, ...]:
        return self.limits.thumbnail_side, *self.recipe.thumbnail_sizes

    def _picture(self, still: Image.Image, side: int) -> Picture:
        small = shrunk(still, side)
        data = encoded(small, self.recipe.thumbnail_format)
        return Picture(data, small.width, small.height)

    def _with(self, case: Case, pictures: tuple[Picture, ...], thumbhash: str | None) -> Case:
        first, content_type = pictures[0], f"image/{self.recipe.thumbnail_format}"
        ready = Thumbnail("ready", None, first.width, first.height, content_type)
        return replace(case, pictures=pictures, thumbhash=thumbhash, thumbnail=ready)


def best_still(clip: Clip, side: int) -> Image.Image | None:
    """The first good frame of a few moments, else the best of them; None when there is no frame.

    An ordinary clip needs one child process, a poor one four, and one more if no moment has any.
    """
    size = fitted_size(clip.track, side)
    best: tuple[Look, Image.Image] | None = None
    for seek in _moments(clip.duration):
        if best is not None and not seek:
            break
        frame = clip.frame(seek, size)
        if frame is None:
            continue
        look = Look(frame)
        if look.good:
            return frame
        if best is None or look.rank > best[0].rank:
            best = look, frame
    return None if best is None else best[1]


def _moments(duration: float) -> Iterator[list[str]]:
    """Yield where to look, and last the first frame, for a clip in which no seek finds any."""
    for second in (min(1.0, duration / 10), duration / 4, duration / 2, duration * 3 / 4):
        yield ["-ss", f"{second:.3f}"]
    yield []
