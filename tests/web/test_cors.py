"""CORS: what a page of another origin may send and see."""

from pathlib import Path

import pytest

from tests.rooms import GIF, OCTETS, Tus, make_app, settings
from tests.web.test_core import TUS

PAGE = "https://app.example"


def listed(text: str) -> set[str]:
    return {part.strip() for part in text.split(",")}


@pytest.mark.parametrize("path", ["/files/", "/files/x", "/api/v1/media", "/nowhere"])
def test_a_preflight_needs_no_token(tus: Tus, path: str) -> None:
    """Browsers send it without one; some old ones accept nothing but 200 or 204."""
    response = tus.talk(
        f"""
        OPTIONS {path}
        Authorization: (absent)
        Origin: {PAGE}
        Access-Control-Request-Method: PATCH
        Access-Control-Request-Headers: authorization, tus-resumable, upload-offset
        """,
        """
        204
        Access-Control-Allow-Origin: *
        Access-Control-Allow-Methods: (anything)
        Access-Control-Allow-Headers: (anything)
        Access-Control-Max-Age: 86400
        Access-Control-Allow-Credentials: (absent)
        """,
    )
    methods = listed(response.headers["Access-Control-Allow-Methods"])
    assert methods == {"POST", "HEAD", "PATCH", "OPTIONS", "GET", "DELETE"}
    assert listed(response.headers["Access-Control-Allow-Headers"]) >= {
        "Authorization",
        "Content-Type",
        "Tus-Resumable",
        "Upload-Length",
        "Upload-Metadata",
        "Upload-Offset",
        "X-HTTP-Method-Override",
        "X-Request-ID",
        "X-Requested-With",
    }


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (f"POST /files/\n{TUS}\nUpload-Length: 11", 201),
        (f"POST /files/\n{TUS}", 400),
        (f"POST /files/\n{TUS}\nUpload-Length: 11\nAuthorization: (absent)", 401),
        (f"HEAD /files/x\n{TUS}", 404),
        ("PUT /files/x", 405),
        ("HEAD /files/x", 412),
        ("GET /api/v1/media", 200),
        ("GET /api/v1/media/x", 404),
        ("GET /nowhere", 404),
    ],
)
def test_a_page_sees_every_answer(tus: Tus, request_text: str, status: int) -> None:
    """Without these headers tus-js-client cannot tell a 409 from a dead network."""
    response = tus.talk(
        f"{request_text}\nOrigin: {PAGE}", f"{status}\nAccess-Control-Allow-Origin: *"
    )
    assert listed(response.headers["Access-Control-Expose-Headers"]) >= {
        "Location",
        "Tus-Extension",
        "Tus-Max-Size",
        "Tus-Resumable",
        "Tus-Version",
        "Upload-Expires",
        "Upload-Length",
        "Upload-Media-Id",
        "Upload-Metadata",
        "Upload-Offset",
    }


def test_a_page_may_show_a_finished_upload(alice: Tus) -> None:
    upload = alice.create(body=GIF)
    alice.talk(
        f"GET /files/{upload}\nOrigin: {PAGE}",
        "200\nAccess-Control-Allow-Origin: *\nCross-Origin-Resource-Policy: cross-origin",
    )


def test_who_is_no_page_hears_nothing_of_it(tus: Tus) -> None:
    tus.talk(
        f"POST /files/\n{TUS}\nUpload-Length: 11",
        "201\nAccess-Control-Allow-Origin: (absent)\nAccess-Control-Expose-Headers: (absent)",
    )


def test_origins_can_be_named(tmp_path: Path) -> None:
    """A cache must not show one origin's answer to another."""
    with make_app(settings(tmp_path, cors_origins=(PAGE, "https://two.example"))) as app:
        tus = Tus(app)
        create = f"POST /files/\n{TUS}\nUpload-Length: 11"
        tus.talk(
            f"{create}\nOrigin: {PAGE}", f"201\nAccess-Control-Allow-Origin: {PAGE}\nVary: Origin"
        )
        tus.talk(
            f"{create}\nOrigin: https://evil.example",
            "201\nAccess-Control-Allow-Origin: (absent)\nVary: Origin",
        )
        tus.talk(
            "OPTIONS /files/\nOrigin: https://evil.example\nAccess-Control-Request-Method: PATCH",
            "204\nAccess-Control-Allow-Origin: (absent)\nAccess-Control-Allow-Methods: (absent)",
        )
        tus.talk(create, "201\nAccess-Control-Allow-Origin: (absent)\nVary: Origin")


def test_no_origin_at_all(tmp_path: Path) -> None:
    with make_app(settings(tmp_path, cors_origins=())) as app:
        Tus(app).talk(
            f"OPTIONS /files/\nOrigin: {PAGE}\nAccess-Control-Request-Method: POST",
            "204\nAccess-Control-Allow-Origin: (absent)",
        )


def test_a_preflight_changes_nothing(tus: Tus) -> None:
    upload = tus.create()
    tus.talk(
        f"OPTIONS /files/{upload}\nOrigin: {PAGE}\nAccess-Control-Request-Method: DELETE\n"
        f"Content-Type: {OCTETS}\n\nGIF89a",
        "204",
    )
    assert tus.offset(upload) == 0
