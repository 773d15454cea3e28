from argparse import ArgumentTypeError
from collections.abc import Callable

import pytest

from tusd_server.commands import arguments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("10B", 10),
        ("4k", 4096),
        ("5MiB", 5 * 1024**2),
        ("5 MB", 5 * 1024**2),
        ("2G", 2 * 1024**3),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    assert arguments.size(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://127.0.0.1:1080", "http://127.0.0.1:1080"),
        ("http://127.0.0.1:1080/", "http://127.0.0.1:1080"),
        ("https://media.example.org/files/", "https://media.example.org"),
        ("https://example.org/uploads/files", "https://example.org/uploads"),
        (" http://[::1]:1080 ", "http://[::1]:1080"),
    ],
)
def test_server_urls(text: str, expected: str) -> None:
    assert arguments.server_url(text) == expected


def test_token_without_its_line_end() -> None:
    assert arguments.token("a.b-c_d\n") == "a.b-c_d"


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (arguments.size, "0"),
        (arguments.size, "-5"),
        (arguments.size, "1_000"),
        (arguments.size, "٣"),
        (arguments.size, "5 apples"),
        (arguments.count, "0"),
        (arguments.count, "two"),
        (arguments.port, "65536"),
        (arguments.port, "-1"),
        (arguments.hours, "0"),
        (arguments.hours, "nan"),
        (arguments.hours, "1e99"),
        (arguments.hours, "soon"),
        (arguments.seconds, "-1"),
        (arguments.seconds, "nan"),
        (arguments.user, ""),
        (arguments.user, "a\nb"),
        (arguments.user, "a" * 256),
        (arguments.token, ""),
        (arguments.token, "two words"),
        (arguments.token, "naïve"),
        (arguments.server_url, "127.0.0.1:1080"),
        (arguments.server_url, "ftp://example.org"),
        (arguments.server_url, "http://"),
        (arguments.server_url, "http://example.org:port"),
        (arguments.server_url, "http://[::1"),
        (arguments.server_url, "http://me:secret@example.org"),
        (arguments.server_url, "http://example.org/?a=b"),
    ],
)
def test_refused_in_one_sentence(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=r"^[^\n]+\.$"):
        read(text)
