"""Behind reverse proxies: forwarded headers are believed only when a setting says so."""

from pathlib import Path

import pytest

from tests.rooms import GIF, Tus, make_app, run_jobs, settings
from tests.web.test_core import TUS

FORWARDED = """X-Forwarded-Proto: https
X-Forwarded-Host: media.example
X-Forwarded-Port: 443
X-Forwarded-For: 203.0.113.9"""


def location(tmp_path: Path, hops: int, headers: str) -> str:
    with make_app(settings(tmp_path, trust_proxy=hops)) as app:
        response = Tus(app).talk(f"POST /files/\n{TUS}\nUpload-Length: 11\n{headers}", "201")
    return response.headers["Location"].rpartition("/")[0]


@pytest.mark.parametrize(
    "headers", [FORWARDED, "Forwarded: host=evil.example;proto=https", "X-Forwarded-Prefix: /evil"]
)
def test_nobody_is_believed_by_default(tmp_path: Path, headers: str) -> None:
    assert location(tmp_path, 0, headers) == "http://localhost/files"


def test_one_proxy_that_ends_tls(tmp_path: Path) -> None:
    assert location(tmp_path, 1, FORWARDED) == "https://media.example/files"


def test_a_proxy_on_another_port_and_path(tmp_path: Path) -> None:
    headers = FORWARDED.replace("443", "8443") + "\nX-Forwarded-Prefix: /media"
    assert location(tmp_path, 1, headers) == "https://media.example:8443/media/files"


def test_what_a_client_adds_in_front_is_not_believed(tmp_path: Path) -> None:
    headers = "X-Forwarded-Host: evil.example, media.example\nX-Forwarded-Proto: ftp, https"
    assert location(tmp_path, 1, headers) == "https://media.example/files"


def test_two_proxies(tmp_path: Path) -> None:
    headers = "X-Forwarded-Host: media.example, inner\nX-Forwarded-Proto: https, http"
    assert location(tmp_path, 2, headers) == "https://media.example/files"


def test_links_of_media_are_made_for_the_proxy_too(tmp_path: Path) -> None:
    config = settings(tmp_path, trust_proxy=1)
    with make_app(config) as app:
        tus = Tus(app)
        tus.create(body=GIF)
        run_jobs(app, config)
        answer = tus.talk(f"GET /api/v1/media\n{FORWARDED}", "200").json
    assert answer is not None
    assert answer["items"][0]["url"].startswith("https://media.example/api/v1/media/")
