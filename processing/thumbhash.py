"""ThumbHash: a blurred placeholder of a picture in about 25 bytes.

The format is described at https://evanw.github.io/thumbhash/. A hash holds the average colour
and the lowest frequencies of a cosine transform, of lightness (L), yellow-blue (P), red-green
(Q) and, where the picture is translucent, alpha (A); each frequency in four bits.
"""

import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

LONGEST_SIDE: Final = 100

Values = Sequence[float]


def thumbhash(width: int, height: int, rgba: bytes) -> bytes:
    """Encode a picture of at most 100 x 100 px, given as its rows of straight RGBA bytes.

    ValueError for a larger one, and when there are not four bytes for each pixel.
    """
    if not (0 < width <= LONGEST_SIDE and 0 < height <= LONGEST_SIDE):
        raise ValueError(f"A picture of {width} x {height} px was given; a side may have 1 to 100.")
    if len(rgba) != 4 * width * height:
        raise ValueError("The picture does not have four bytes for each pixel.")
    translucent = min(rgba[3::4]) < 255
    planes = _planes(rgba)
    longest, most = max(width, height), 5 if translucent else 7
    across = max(1, _round(most * width / longest))
    down = max(1, _round(most * height / longest))
    lightness = _channel(planes.l, width, height, max(3, across), max(3, down))
    yellow = _channel(planes.p, width, height, 3, 3)
    red = _channel(planes.q, width, height, 3, 3)
    channels = [lightness, yellow, red]
    head = (
        _round(63 * lightness.dc)
        | _round(31.5 + 31.5 * yellow.dc) << 6
        | _round(31.5 + 31.5 * red.dc) << 12
        | _round(31 * lightness.scale) << 18
        | translucent << 23
    )
    landscape = width > height
    shape = (
        (down if landscape else across)
        | _round(63 * yellow.scale) << 3
        | _round(63 * red.scale) << 9
        | landscape << 15
    )
    written = head.to_bytes(3, "little") + shape.to_bytes(2, "little")
    if translucent:
        alpha = _channel(planes.a, width, height, 5, 5)
        written += bytes([_round(15 * alpha.dc) | _round(15 * alpha.scale) << 4])
        channels.append(alpha)
    return written + _nibbles([value for channel in channels for value in channel.ac])


@dataclass(frozen=True, slots=True)
class _Planes:
    l: Values  # noqa: E741 (the format's own name)
    p: Values
    q: Values
    a: Values


@dataclass(frozen=True, slots=True)
class _Channel:
    """The average, the other frequencies scaled to 0..1, and by how much these were scaled."""

    dc: float
    ac: Values
    scale: float


def _planes(rgba: bytes) -> _Planes:
    """Split into L, P, Q and A; what is translucent lies upon the average colour."""
    alpha = [value / 255 for value in rgba[3::4]]
    covered = _sum(alpha)
    colours = []
    for offset in range(3):
        seen = [a / 255 * value for a, value in zip(alpha, rgba[offset::4], strict=True)]
        average = _sum(seen) / covered if covered else 0.0
        colours.append([average * (1 - a) + v for a, v in zip(alpha, seen, strict=True)])
    red, green, blue = colours
    return _Planes(
        l=[(r + g + b) / 3 for r, g, b in zip(red, green, blue, strict=True)],
        p=[(r + g) / 2 - b for r, g, b in zip(red, green, blue, strict=True)],
        q=[r - g for r, g in zip(red, green, strict=True)],
        a=alpha,
    )


def _channel(values: Values, width: int, height: int, across: int, down: int) -> _Channel:
    waves_x, waves_y = _waves(width, across), _waves(height, down)
    found = []
    for x, y in _frequencies(across, down):
        by_row: Iterable[float] = map(operator.mul, values, waves_x[x] * height)
        up = [value for value in waves_y[y] for _ in range(width)]
        found.append(_sum(map(operator.mul, by_row, up)) / (width * height))
    dc, ac = found[0], found[1:]
    scale = max(map(abs, ac), default=0.0)
    return _Channel(dc, [0.5 + 0.5 / scale * value for value in ac] if scale else ac, scale)


def _sum(values: Iterable[float]) -> float:
    """Add in order: a sum that corrects its error would round ties otherwise than others do."""
    total = 0.0
    for value in values:
        total += value
    return total


def _waves(length: int, count: int) -> list[list[float]]:
    return [
        [math.cos(math.pi / length * wave * (place + 0.5)) for place in range(length)]
        for wave in range(count)
    ]


def _frequencies(across: int, down: int) -> Iterator[tuple[int, int]]:
    """Yield the triangle of low frequencies, row by row."""
    for y in range(down):
        for x in range(across):
            if x * down < across * (down - y):
                yield x, y


def _nibbles(values: Values) -> bytes:
    digits = [_round(15 * value) for value in values]
    digits += [0] * (len(digits) % 2)
    return bytes(low | high << 4 for low, high in zip(digits[::2], digits[1::2], strict=True))


def _round(value: float) -> int:
    """Round halves up, as JavaScript does; Python rounds them to even."""
    return math.floor(value + 0.5)
