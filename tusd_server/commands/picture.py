"""A small picture in a terminal that can show one."""

import base64
import io
from collections.abc import Callable, Mapping

from PIL import Image

COLUMNS = 32
KITTY_PIECE = 4096
MOST_PIXELS = 4_000_000

Draw = Callable[[Image.Image], str]


def drawing(environ: Mapping[str, str]) -> Draw | None:
    """How the terminal of this environment shows pictures; None when it is not known to.

    Pictures themselves by the protocols of kitty and iTerm2, else two pixels in each character
    where 24-bit colours are promised.
    """
    program = environ.get("TERM_PROGRAM", "")
    if environ.get("TMUX") or environ.get("STY"):
        # A multiplexer passes colours on, and swallows pictures.
        return blocks if _true_colours(environ) else None
    if environ.get("TERM") == "xterm-kitty" or program == "ghostty":
        return kitty
    if program in ("iTerm.app", "WezTerm") or environ.get("LC_TERMINAL") == "iTerm2":
        return iterm
    return blocks if _true_colours(environ) else None


def picture_of(content: bytes) -> Image.Image | None:
    """A thumbnail's pixels; None when these are no usable ones."""
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "WEBP")) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError):
        return None


def blocks(image: Image.Image) -> str:
    """Rows of half blocks: the upper pixel in the text's colour, the lower one behind it."""
    columns = min(COLUMNS, image.width)
    rows = max(2, round(image.height * columns / image.width) // 2 * 2)
    pixels = image.resize((columns, rows), Image.Resampling.BOX).tobytes()
    colours = [";".join(map(str, pixels[at : at + 3])) for at in range(0, len(pixels), 3)]
    lines = []
    for start in range(0, len(colours), 2 * columns):
        upper = colours[start : start + columns]
        lower = colours[start + columns : start + 2 * columns]
        cells = (f"\x1b[38;2;{u};48;2;{v}m▀" for u, v in zip(upper, lower, strict=True))
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)


def kitty(image: Image.Image) -> str:
    """kitty's graphics protocol: a PNG in pieces, scaled to some columns by the terminal."""
    text = _base64(image, "PNG")
    pieces = [text[start : start + KITTY_PIECE] for start in range(0, len(text), KITTY_PIECE)]
    escapes = []
    for number, piece in enumerate(pieces):
        more = int(number < len(pieces) - 1)
        keys = f"a=T,f=100,c={COLUMNS},m={more}" if number == 0 else f"m={more}"
        escapes.append(f"\x1b_G{keys};{piece}\x1b\\")
    return "".join(escapes)


def iterm(image: Image.Image) -> str:
    """iTerm2's inline image."""
    text = _base64(image, "JPEG")
    return f"\x1b]1337;File=inline=1;width={COLUMNS};preserveAspectRatio=1:{text}\x07"


def _base64(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _true_colours(environ: Mapping[str, str]) -> bool:
    return environ.get("COLORTERM") in ("truecolor", "24bit")
