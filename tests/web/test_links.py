"""Signed, expiring links."""

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.records import START
from tusd_server.errors import AccessDenied
from tusd_server.web.links import ROUND_SECONDS, Links

KEY = b"k" * 32
PATH = "/api/v1/media/7/file"
NOW = START.timestamp()


def links(now: float = NOW, key: bytes = KEY, lifetime: float = 3600.0) -> Links:
    return Links(key, lifetime, clock=lambda: now)


def parts(url: str) -> tuple[str, str, str]:
    split = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(split.query).items()}
    return split.path, query["expires"], query["signature"]


def signed(now: float = NOW) -> tuple[str, str, str]:
    return parts(links(now).sign("http://media.example/", PATH))


def test_a_link_is_absolute() -> None:
    url = links().sign("http://media.example/", PATH)
    assert url.startswith(f"http://media.example{PATH}?expires=")


def test_a_link_holds_for_its_lifetime_and_no_longer_than_rounding_adds() -> None:
    path, expires, signature = signed()
    assert NOW + 3600 <= int(expires) < NOW + 3600 + ROUND_SECONDS
    links(NOW).check(path, expires, signature)
    links(float(expires)).check(path, expires, signature)
    with pytest.raises(AccessDenied, match="expired"):
        links(float(expires) + 1).check(path, expires, signature)


def test_asking_again_soon_gives_the_same_link() -> None:
    """So that a browser's cache can use it."""
    start = NOW - NOW % ROUND_SECONDS + 1
    assert len({signed(start + seconds) for seconds in (0, 60, ROUND_SECONDS - 2)}) == 1
    assert signed(start + ROUND_SECONDS) != signed(start)


def test_a_link_is_good_for_nothing_else() -> None:
    path, expires, signature = signed()
    later = str(int(expires) + ROUND_SECONDS)
    other = "0" if signature[0] != "0" else "1"
    for wrong in [
        (path.replace("7", "8"), expires, signature),
        (path.replace("file", "thumbnail"), expires, signature),
        (path, later, signature),
        (path, f" {expires}", signature),
        (path, "", signature),
        (path, "never", signature),
        (path, expires, other + signature[1:]),
        (path, expires, signature[:-1]),
        (path, expires, ""),
        (path, expires, "é" * 64),
    ]:
        with pytest.raises(AccessDenied, match="signature does not hold"):
            links().check(*wrong)


def test_another_installations_link_does_not_hold() -> None:
    with pytest.raises(AccessDenied):
        links(key=b"x" * 32).check(*signed())
