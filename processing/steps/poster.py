"""How much a frame shows: neither flat nor black nor blurred is best."""

from typing import Final

from PIL import Image, ImageFilter, ImageStat

LEAST_CONTRAST: Final = 12.0
LIGHT: Final = (20, 240)
# A frame as dim as this may be in the middle of a fade.
GOOD_LIGHT: Final = (40, 225)
# Measured at 640 px: 0.14 and more as cameras and encoders leave it, 0.08 at a blur of 2 px.
LEAST_SHARPNESS: Final = 0.1

_JUDGED_SIDE: Final = 640


class Look:
    """A frame's numbers, taken from its lightness at a fixed size."""

    def __init__(self, frame: Image.Image) -> None:
        """Measure; `sharpness` is the spread of the edges by that of the lightness."""
        grey = frame.convert("L")
        grey.thumbnail((_JUDGED_SIDE, _JUDGED_SIDE))
        stat = ImageStat.Stat(grey)
        self.lightness = stat.mean[0]
        self.contrast = stat.stddev[0]
        self.edges = _edges(grey)
        self.sharpness = self.edges / self.contrast if self.contrast >= 1 else 0.0

    @property
    def shows_something(self) -> bool:
        """Neither flat nor black nor white."""
        return self.contrast >= LEAST_CONTRAST and LIGHT[0] <= self.lightness <= LIGHT[1]

    @property
    def good(self) -> bool:
        """Good enough to look no further."""
        well_lit = GOOD_LIGHT[0] <= self.lightness <= GOOD_LIGHT[1]
        return self.shows_something and well_lit and self.sharpness >= LEAST_SHARPNESS

    @property
    def rank(self) -> tuple[bool, float]:
        """Larger is better: something seen before nothing, then the stronger edges."""
        return self.shows_something, self.edges + self.contrast / 100


def _edges(grey: Image.Image) -> float:
    if min(grey.size) < 3:
        return 0.0
    edges = grey.filter(ImageFilter.FIND_EDGES)
    # The filter copies the outermost pixels as they are.
    return float(ImageStat.Stat(edges.crop((1, 1, grey.width - 1, grey.height - 1))).stddev[0])
