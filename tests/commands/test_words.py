import pytest

from tusd_server.commands.words import bytes_of, printable, span


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (12_900_000, "12.3 MiB"),
        (3 * 1024**3, "3.0 GiB"),
        (5000 * 1024**4, "5000.0 TiB"),
    ],
)
def test_bytes(number: float, text: str) -> None:
    assert bytes_of(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (59.9, "59 s"), (60, "1 min"), (7300, "2 h"), (200_000, "2 d")],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_foreign_text_cannot_steer_a_terminal() -> None:
    assert printable("a\x1b[2Jb\n\u202ec é") == "a?[2Jb??c é"
