import base64
import io
import re
from collections.abc import Mapping

import pytest
from PIL import Image

from tusd_server.commands.picture import Draw, blocks, drawing, iterm, kitty, picture_of

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def flag() -> Image.Image:
    """Red above blue."""
    image = Image.new("RGB", (64, 32), RED)
    image.paste(BLUE, (0, 16, 64, 32))
    return image


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TERM": "xterm-kitty", "COLORTERM": "truecolor"}, kitty),
        ({"TERM_PROGRAM": "ghostty"}, kitty),
        ({"TERM_PROGRAM": "iTerm.app"}, iterm),
        ({"LC_TERMINAL": "iTerm2"}, iterm),
        ({"TERM_PROGRAM": "WezTerm"}, iterm),
        ({"COLORTERM": "truecolor"}, blocks),
        ({"COLORTERM": "24bit"}, blocks),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux", "COLORTERM": "truecolor"}, blocks),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}, None),
        ({"TERM": "xterm-256color"}, None),
        ({}, None),
    ],
)
def test_each_terminal_by_what_it_can(environ: Mapping[str, str], expected: Draw | None) -> None:
    assert drawing(environ) is expected


def test_blocks_are_two_pixels_each(flag: Image.Image) -> None:
    lines = blocks(flag).split("\n")
    assert len(lines) == 8
    assert lines[0].count("▀") == 32
    assert lines[0].startswith("\x1b[38;2;255;0;0;48;2;255;0;0m▀")
    assert lines[-1].startswith("\x1b[38;2;0;0;255;48;2;0;0;255m▀")
    assert all(line.endswith("\x1b[0m") for line in lines)


def test_a_picture_of_one_column(flag: Image.Image) -> None:
    assert blocks(flag.resize((1, 1))).count("▀") == 1


def test_kitty_gets_the_picture_in_pieces() -> None:
    noise = Image.effect_noise((200, 200), 80).convert("RGB")
    pieces = re.findall("\x1b_G([^;]*);([^\x1b]*)\x1b\\\\", kitty(noise))
    assert pieces[0][0].startswith("a=T,f=100,")
    assert [keys[-3:] for keys, _ in pieces] == ["m=1"] * (len(pieces) - 1) + ["m=0"]
    assert max(len(piece) for _, piece in pieces) == 4096
    sent = base64.b64decode("".join(piece for _, piece in pieces))
    assert Image.open(io.BytesIO(sent)).tobytes() == noise.tobytes()


def test_iterm_gets_the_picture_whole(flag: Image.Image) -> None:
    head, _, text = iterm(flag).removesuffix("\x07").partition(":")
    assert head.startswith("\x1b]1337;File=inline=1;")
    assert Image.open(io.BytesIO(base64.b64decode(text))).size == (64, 32)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_thumbnails_of_both_formats(flag: Image.Image, kind: str) -> None:
    buffer = io.BytesIO()
    flag.save(buffer, kind)
    image = picture_of(buffer.getvalue())
    assert image is not None
    assert (image.mode, image.size) == ("RGB", (64, 32))


def test_what_is_no_picture_is_none() -> None:
    huge = io.BytesIO()
    Image.new("RGB", (3000, 3000)).save(huge, "JPEG")
    assert picture_of(b"<html>") is None
    assert picture_of(huge.getvalue()) is None
    assert picture_of(huge.getvalue()[:500]) is None
