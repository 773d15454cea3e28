"""The page at `/`: as it is sent, with a build and without one."""

import gzip
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.rooms import Tus, make_app, settings
from tusd_server.web import page

INDEX = '<!doctype html><meta name="tusd-server" content="{}" /><script src="./assets/main-1.js">'
SCRIPT = b"console.log('here')" * 50


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build of three files, where the package would have it."""
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(INDEX)
    (folder / "assets/main-1.js").write_bytes(SCRIPT)
    (folder / "assets/main-1.js.gz").write_bytes(gzip.compress(SCRIPT))
    (folder / "assets/main-1.js.br").write_bytes(b"as if it were Brotli")
    (folder / "assets/icon-1.svg").write_text("<svg/>")
    monkeypatch.setattr(page.Page.__init__, "__defaults__", (folder,))
    return folder


@pytest.fixture
def app(built: Path, tmp_path: Path) -> Iterator[Flask]:
    with make_app(settings(tmp_path, embed_origins=("https://app.example",))) as app:
        yield app


def test_the_page_needs_no_token_and_knows_the_server(alice: Tus) -> None:
    answer = alice.talk(
        """
        GET /
        Authorization: (absent)
        """,
        """
        200
        Content-Type: text/html; charset=utf-8
        Cache-Control: no-cache
        Vary: Accept-Encoding
        ETag: (anything)
        """,
    )
    told = re.search('content="([^"]+)"', answer.text)
    assert told is not None
    assert json.loads(html.unescape(told[1])) == {
        "auth": "jwt",
        "maxSize": 500 * 1024 * 1024,
        "embedOrigins": ["https://app.example"],
    }


def test_the_page_runs_nothing_but_its_own(alice: Tus) -> None:
    headers = alice.get("/").headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'self' https://app.example"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("accepted", "coding", "sent"),
    [
        ("gzip, deflate, br, zstd", "br", b"as if it were Brotli"),
        ("gzip, br;q=0", "gzip", gzip.compress(SCRIPT)),
        ("", None, SCRIPT),
    ],
)
def test_assets_come_compressed_and_for_ever(
    alice: Tus, accepted: str, coding: str | None, sent: bytes
) -> None:
    answer = alice.get("/assets/main-1.js", Accept_Encoding=accepted)
    assert answer.headers.get("Content-Encoding") == coding
    assert len(answer.data) == len(sent)
    assert answer.mimetype == "text/javascript"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", ["/", "/assets/icon-1.svg"])
def test_what_a_browser_has_is_not_sent_again(alice: Tus, path: str) -> None:
    tag = alice.get(path).headers["ETag"]
    assert alice.get(path, If_None_Match=tag).status_code == 304
    assert alice.get(path, If_None_Match='"other"').status_code == 200


@pytest.mark.parametrize("name", ["none.js", "main-1.js.gz", "..%2findex.html", "%00", "a" * 3000])
def test_assets_that_there_are_not(alice: Tus, name: str) -> None:
    assert alice.get(f"/assets/{name}").status_code == 404


def test_without_a_build_the_page_says_how_to_get_one(built: Path, tmp_path: Path) -> None:
    (built / "index.html").unlink()
    with make_app(settings(tmp_path)) as app:
        answer = Tus(app).talk("GET /", "404\nContent-Type: text/html; charset=utf-8")
        assert "make ui" in answer.text
        assert Tus(app).get("/assets/main-1.js").status_code == 404
