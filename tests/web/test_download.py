"""GET of a finished upload: for its owner, in parts when asked, and never as a page."""

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from flask import Flask

from tests.rooms import GIF, Tus, catalog_of, in_memory, make_app, metadata, run_jobs, settings
from tests.web.test_core import TUS
from tusd_server.web.downloads import content_disposition


@pytest.fixture
def upload(alice: Tus) -> str:
    return alice.create(metadata=metadata(filename="ferien.gif"), body=GIF)


def test_a_finished_upload_comes_back(alice: Tus, upload: str) -> None:
    """Not part of tus, so no version is asked for."""
    alice.talk(
        f"GET /files/{upload}",
        """
        200
        Content-Type: image/gif
        Content-Length: 11
        Content-Disposition: inline; filename="ferien.gif"; filename*=UTF-8''ferien.gif
        Content-Security-Policy: sandbox; default-src 'none'
        X-Content-Type-Options: nosniff
        Cache-Control: ...private...
        ETag: (anything)
        Last-Modified: (anything)
        Accept-Ranges: bytes
        """,
    )
    assert alice.get(f"/files/{upload}").data == GIF


@pytest.mark.parametrize(
    ("asked", "shown", "body"),
    [
        ("bytes=0-5", "bytes 0-5/11", b"GIF89a"),
        ("bytes=6-", "bytes 6-10/11", b"-----"),
        ("bytes=-3", "bytes 8-10/11", b"---"),
        ("bytes=0-999", "bytes 0-10/11", GIF),
    ],
)
def test_a_part_of_it(alice: Tus, upload: str, asked: str, shown: str, body: bytes) -> None:
    """A player that jumps asks so; Safari plays no video without it."""
    response = alice.talk(
        f"GET /files/{upload}\nRange: {asked}",
        f"206\nContent-Range: {shown}\nContent-Length: {len(body)}",
    )
    assert response.data == body


@pytest.mark.parametrize("asked", ["bytes=11-", "bytes=20-30"])
def test_a_part_that_is_not_there(alice: Tus, upload: str, asked: str) -> None:
    alice.talk(f"GET /files/{upload}\nRange: {asked}", "416\nContent-Range: bytes */11")


def test_a_copy_is_asked_after_not_sent_again(alice: Tus, upload: str) -> None:
    tag = alice.get(f"/files/{upload}").headers["ETag"]
    assert alice.get(f"/files/{upload}", If_None_Match=tag).status_code == 304
    assert alice.get(f"/files/{upload}", If_None_Match='"another"').status_code == 200


def test_an_unfinished_upload(alice: Tus) -> None:
    upload = alice.create(20, body=GIF)
    alice.talk(
        f"GET /files/{upload}", "409\n\nThe upload is not complete; 11 of 20 bytes are here."
    )


def test_a_file_that_was_moved_to_its_place_and_one_that_is_deleted(
    tmp_path: Path,
) -> None:
    config = settings(tmp_path)
    with make_app(config) as app:
        alice = Tus(app)
        upload = alice.create(body=GIF)
        run_jobs(app, config)
        assert alice.get(f"/files/{upload}").data == GIF
        medium = catalog_of(app).by_upload(upload)
        assert medium is not None
        assert medium.path is not None
        (config.data_dir / medium.path).unlink()
        alice.talk(
            f"GET /files/{upload}",
            "410\n\nThe upload is complete and its bytes have been deleted.",
        )
        alice.talk(f"HEAD /files/{upload}\n{TUS}", "410\nUpload-Offset: (absent)")


def test_bytes_in_memory_are_no_file(tmp_path: Path) -> None:
    with make_app(settings(tmp_path), **in_memory()) as app:
        tus = Tus(app)
        assert tus.get(f"/files/{tus.create(body=GIF)}").status_code == 404


def test_a_page_is_never_shown_as_one(tmp_path: Path) -> None:
    """A data directory of tusd's may hold anything."""
    config = settings(tmp_path, auth="off")
    page = b"<script>alert(1)</script>"
    with make_app(config) as app:
        (config.data_dir / "abc").write_bytes(page)
        info = {
            "ID": "abc",
            "Size": len(page),
            "MetaData": {"filename": "a.html", "filetype": "text/html"},
            "Storage": {"Path": str(config.data_dir / "abc"), "Type": "filestore"},
        }
        (config.data_dir / "abc.info").write_text(json.dumps(info))
        response = Tus(app).talk(
            "GET /files/abc",
            """
            200
            Content-Type: application/octet-stream
            Content-Disposition: attachment; filename="a.html"; filename*=UTF-8''a.html
            X-Content-Type-Options: nosniff
            """,
        )
    assert response.data == page


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ('a"b.gif', "a_b.gif"),
        ("a\\b.gif", "a_b.gif"),
        ("a\r\nX-Evil: 1.gif", "a__X-Evil_ 1.gif"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("Füße 🎉.gif", "F__e _.gif"),
        ("%41;x=y.gif", "_41_x_y.gif"),
        ("\x00", "_"),
        ("n" * 400, "n" * 150),
    ],
)
def test_names_are_made_harmless(app: Flask, name: str, plain: str) -> None:
    alice = Tus(app)
    upload = alice.create(metadata=metadata(filename=name), body=GIF)
    response = alice.get(f"/files/{upload}")
    header = response.headers["Content-Disposition"]
    assert header.startswith(f"inline; filename=\"{plain}\"; filename*=UTF-8''")
    assert unquote(header.rpartition("''")[2]) == name[:150]
    assert "X-Evil" not in response.headers


def test_a_name_of_half_a_character_is_no_error() -> None:
    assert content_disposition("a\ud800", inline=False).startswith("attachment; ")


def test_a_file_without_a_name_is_called_by_its_id(alice: Tus) -> None:
    upload = alice.create(metadata=metadata(filename=b""), body=GIF)
    alice.talk(
        f"GET /files/{upload}",
        f"200\nContent-Disposition: inline; filename=\"{upload}\"; filename*=UTF-8''{upload}",
    )
