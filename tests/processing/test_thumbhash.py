"""The hashes were computed by the format's reference encoder: `thumbhash` 0.1.1 of npm."""

import base64

import pytest

from processing.thumbhash import thumbhash

PICTURES = {
    "opaque": lambda x, y: (x * 37 % 256, y * 53 % 256, x * y % 256, 255),
    "translucent": lambda x, y: (
        x * 11 % 256,
        200 - y % 200,
        (x + y) * 3 % 256,
        (x * 5 + y * 9) % 256,
    ),
    "half there": lambda x, y: (30, 60, x * 2 % 256, 255 if x < 9 else 0),
    "steps": lambda x, y: (x // 9 * 25 % 256, 40 + y // 7 * 15 % 200, 90, 255),
}


def pixels(name: str, width: int, height: int) -> bytes:
    rows = [PICTURES[name](x, y) for y in range(height) for x in range(width)]
    return b"".join(map(bytes, rows))


@pytest.mark.parametrize(
    ("name", "width", "height", "wanted"),
    [
        ("opaque", 32, 24, "m+gFJYYyRVdwmImEiUaJlc+dXPOn"),
        ("opaque", 24, 32, "mugFJQYQJGCZCZloiZN2aL+fSrH4"),
        ("opaque", 100, 100, "HggCDwQSJzdkd3dzd1d3N3d2oPasAokL"),
        ("opaque", 19, 7, "EioKK5RkRsKDiAiHampglvg="),
        ("opaque", 100, 1, "yvkWeb53eHiIiAiId4hwhwg="),
        ("translucent", 32, 24, "H2qFHIoYAoqYmIaJp7BpBph2ZmeAKKqXBw=="),
        ("translucent", 24, 32, "YJqFFAwngIeIiImGGfeHgIh4d4d0B5a3CA=="),
        ("translucent", 100, 100, "YciBDQQIRlifVWeRZZZfagaIhwZ4eHiIhw=="),
        ("translucent", 19, 7, "nmuFCoYUoIeYiHigjAeKiXB3g3iHeHg="),
        ("translucent", 100, 1, "pGnJaaR3d3iIiICYiIB3+HaFiIiQePg="),
        ("half there", 100, 1, "CMmRSY4Rd3eIiICIiIB3+P/uiIgAcPc="),
        ("steps", 32, 24, "j8YFFYiAh5dzeIiIiHiIiIBzCMh3"),
        ("steps", 100, 100, "HekJPxpwd3hyiIeHiHiIeIh4Byd3cH0I"),
    ],
)
def test_the_reference_encoder_writes_the_same(
    name: str, width: int, height: int, wanted: str
) -> None:
    found = thumbhash(width, height, pixels(name, width, height))
    assert base64.b64encode(found).decode() == wanted


@pytest.mark.parametrize(
    ("name", "width", "height", "wanted"),
    [
        ("half there", 32, 24, "CMmBBIBERgGId4eIp493QIj8nIeIeHeIBw=="),
        ("half there", 24, 32, "CMmBBABGJnCId3iIp3+HYHj3aoWHeIiICA=="),
        ("half there", 100, 100, "CMmBBQARZwOIeHh4d/l4+I94/+6IeIh4hw=="),
        ("steps", 24, 32, "j6YFFQaAl4CHiIh3eIh3iIBwCPh3"),
        ("steps", 19, 7, "DMYBC4SAmYV3iIh3gHcIeHg="),
    ],
)
def test_frequencies_that_are_not_there_may_round_either_way(
    name: str, width: int, height: int, wanted: str
) -> None:
    """A cosine that differs in its last bit tips what lies between two digits."""
    found = thumbhash(width, height, pixels(name, width, height))
    reference = base64.b64decode(wanted)
    assert found[:6] == reference[:6]
    digits = zip(found.hex(), reference.hex(), strict=True)
    assert all(abs(int(ours, 16) - int(theirs, 16)) <= 1 for ours, theirs in digits)


@pytest.mark.parametrize("size", [(0, 1), (1, 0), (101, 1), (1, 101)])
def test_other_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="1 to 100"):
        thumbhash(*size, bytes(4 * size[0] * size[1]))


def test_every_pixel_has_four_bytes() -> None:
    with pytest.raises(ValueError, match="four bytes"):
        thumbhash(2, 2, bytes(12))


@pytest.mark.parametrize("pixel", [(0, 0, 0, 0), (255, 255, 255, 255), (255, 0, 0, 255)])
def test_one_colour_is_a_hash_too(pixel: tuple[int, ...]) -> None:
    assert 20 <= len(thumbhash(10, 10, bytes(pixel) * 100)) <= 30
