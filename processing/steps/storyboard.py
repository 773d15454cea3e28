"""A storyboard: small frames of a video side by side, and a WebVTT file with their times."""

import math
from pathlib import Path
from typing import Final

from PIL import Image

from processing.examined import Derivative
from processing.pictures import encoded
from processing.recipe import STORYBOARD
from processing.sandbox import SandboxFailure
from processing.steps.frames import Clip, fitted_size

TILE_SIDE: Final = 160
_MOST_PER_SECOND: Final = 2


def storyboard(clip: Clip, most_tiles: int, into: Path) -> tuple[Derivative, ...]:
    """Write the sprite and its WebVTT file into the folder `into`; nothing if no frame is found.

    Only keyframes are decoded, unless they are so far apart that most tiles would repeat one.
    """
    count = max(1, min(most_tiles, int(clip.duration * _MOST_PER_SECOND)))
    size = fitted_size(clip.track, TILE_SIDE)
    tiles = _tiles(clip, size, count)
    if not tiles:
        return ()
    tiles += tiles[-1:] * (count - len(tiles))
    columns = math.ceil(math.sqrt(count))
    sprite = _sprite(tiles, size, columns)
    picture = into / f"{STORYBOARD}.jpg"
    picture.write_bytes(encoded(sprite, "jpeg"))
    times = into / f"{STORYBOARD}.vtt"
    times.write_text(_cues(clip.duration, count, columns, size, picture.name), encoding="ascii")
    return (
        Derivative(
            STORYBOARD, "image/jpeg", picture.name, *sprite.size, size=picture.stat().st_size
        ),
        Derivative(times.name, "text/vtt", times.name, None, None, times.stat().st_size),
    )


def _tiles(clip: Clip, size: tuple[int, int], count: int) -> list[bytes]:
    pick = f"fps={count * 1000}/{max(1, round(clip.duration * 1000))}:start_time=0,"
    quick = _split(clip.pixels(["-skip_frame", "nokey"], size, pick, count), size)
    if len(set(quick)) * 2 >= count:
        return quick
    try:
        return _split(clip.pixels([], size, pick, count), size) or quick
    except SandboxFailure:
        return quick


def _split(pixels: bytes, size: tuple[int, int]) -> list[bytes]:
    length = 3 * size[0] * size[1]
    return [pixels[start : start + length] for start in range(0, len(pixels), length)]


def _sprite(tiles: list[bytes], size: tuple[int, int], columns: int) -> Image.Image:
    width, height = size
    sprite = Image.new("RGB", (columns * width, math.ceil(len(tiles) / columns) * height))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sprite.paste(Image.frombytes("RGB", size, tile), (column * width, row * height))
    return sprite


def _cues(duration: float, count: int, columns: int, size: tuple[int, int], name: str) -> str:
    width, height = size
    lines = ["WEBVTT", ""]
    for number in range(count):
        row, column = divmod(number, columns)
        begin, end = (_clock(duration * each / count) for each in (number, number + 1))
        place = f"{column * width},{row * height},{width},{height}"
        lines += [f"{begin} --> {end}", f"{name}#xywh={place}", ""]
    return "\n".join(lines)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
