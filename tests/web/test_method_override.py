"""X-HTTP-Method-Override: "The X-HTTP-Method-Override request header MUST be a string which MUST
be interpreted as the request's method by the Server, if the header is presented. The actual method
of the request MUST be ignored."
"""

import pytest

from tests.rooms import GIF, OCTETS, Cut, Tus
from tests.web.test_core import TUS


@pytest.mark.parametrize("method", ["PATCH", "patch", " Patch "])
def test_a_post_that_is_a_patch(tus: Tus, method: str) -> None:
    upload = tus.create()
    tus.talk(
        f"""
        POST /files/{upload}
        X-HTTP-Method-Override: {method}
        {TUS}
        Content-Type: {OCTETS}
        Upload-Offset: 0

        GIF89a-----
        """,
        f"204\n{TUS}\nUpload-Offset: 11",
    )


def test_desktop_java_uploads(tus: Tus) -> None:
    """It knows no PATCH, and always sends a chunked body."""
    upload = tus.create()
    response = tus.send(
        "POST",
        f"/files/{upload}",
        {
            "X-HTTP-Method-Override": "PATCH",
            "Tus-Resumable": "1.0.0",
            "Content-Type": OCTETS,
            "Upload-Offset": "0",
            "Expect": "100-continue",
        },
        wsgi_input=Cut(GIF),
        HTTP_TRANSFER_ENCODING="chunked",
    )
    assert (response.status_code, response.headers["Upload-Offset"]) == (204, "11")


def test_a_post_that_is_a_head_has_an_answer_without_a_body(tus: Tus) -> None:
    """For everybody on the way it is a POST, so its Content-Length must be true."""
    upload = tus.create()
    found = tus.talk(
        f"POST /files/{upload}\nX-HTTP-Method-Override: HEAD\n{TUS}",
        "200\nUpload-Offset: 0\nUpload-Length: 11",
    )
    missing = tus.talk(f"POST /files/x\nX-HTTP-Method-Override: HEAD\n{TUS}", "404")
    for response in (found, missing):
        assert response.data == b""
        assert response.headers.get("Content-Length", "0") == "0"


def test_a_post_that_is_a_delete(tus: Tus) -> None:
    upload = tus.create()
    tus.talk(f"POST /files/{upload}\nX-HTTP-Method-Override: DELETE\n{TUS}", "204")
    assert tus.head(upload).status_code == 404


def test_the_actual_method_is_ignored(tus: Tus) -> None:
    tus.talk(f"GET /files/\nX-HTTP-Method-Override: POST\n{TUS}\nUpload-Length: 11", "201")
    upload = tus.create()
    tus.talk(f"DELETE /files/{upload}\nX-HTTP-Method-Override: HEAD\n{TUS}", "200")
    assert tus.offset(upload) == 0


@pytest.mark.parametrize("method", ["PUT", "BREW", "PATCH, DELETE", "x" * 3000])
def test_a_method_that_there_is_not(tus: Tus, method: str) -> None:
    upload = tus.create()
    tus.talk(f"POST /files/{upload}\nX-HTTP-Method-Override: {method}\n{TUS}", f"405\n{TUS}")
    assert tus.offset(upload) == 0


def test_an_empty_override_is_none(tus: Tus) -> None:
    tus.talk(f"POST /files/\nX-HTTP-Method-Override:\n{TUS}\nUpload-Length: 11", "201")
