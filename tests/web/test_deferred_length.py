"""The extension creation-defer-length. Sentences are those of tus 1.0.0."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.rooms import GIF, MP4, OCTETS, Cut, Tus, in_memory, make_app, settings, upload_id
from tests.web.test_core import NOT_NUMBERS, TUS

MOST = 100


@pytest.fixture(params=["files", "memory"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """A server that takes at most MOST bytes."""
    parts = in_memory() if request.param == "memory" else {}
    with make_app(settings(tmp_path, max_size=MOST), **parts) as app:
        yield app


def deferred(tus: Tus) -> str:
    return upload_id(tus.talk(f"POST /files/\n{TUS}\nUpload-Defer-Length: 1", "201"))


def patch(upload: str, offset: int, length: object = None) -> str:
    head = f"PATCH /files/{upload}\n{TUS}\nContent-Type: {OCTETS}\nUpload-Offset: {offset}"
    return head if length is None else f"{head}\nUpload-Length: {length}"


def test_it_is_announced(tus: Tus) -> None:
    """If the Server supports deferring length, it MUST add creation-defer-length to the
    Tus-Extension header."""
    announced = tus.talk("OPTIONS /files/", "204").headers["Tus-Extension"]
    assert "creation-defer-length" in announced.split(",")


def test_the_length_comes_later(tus: Tus) -> None:
    """As long as the length of the upload is not known, the Server MUST set Upload-Defer-Length: 1
    in all responses to HEAD requests. If the length of an upload is not deferred, this header MUST
    be omitted."""
    upload = deferred(tus)
    unknown = "200\nUpload-Defer-Length: 1\nUpload-Length: (absent)\nUpload-Media-Id: (absent)"
    tus.talk(f"HEAD /files/{upload}\n{TUS}", f"{unknown}\nUpload-Offset: 0")
    tus.talk(patch(upload, 0), "204\nUpload-Offset: 6", body=b"GIF89a")
    tus.talk(f"HEAD /files/{upload}\n{TUS}", f"{unknown}\nUpload-Offset: 6")
    tus.talk(patch(upload, 6, 11), "204\nUpload-Offset: 8", body=b"--")
    known = "200\nUpload-Defer-Length: (absent)\nUpload-Length: 11"
    tus.talk(f"HEAD /files/{upload}\n{TUS}", f"{known}\nUpload-Offset: 8")
    tus.talk(patch(upload, 8), "204\nUpload-Offset: 11\nUpload-Media-Id: (anything)", body=b"---")
    tus.talk(f"HEAD /files/{upload}\n{TUS}", f"{known}\nUpload-Offset: 11")


def test_the_length_comes_with_the_last_bytes(tus: Tus) -> None:
    upload = deferred(tus)
    tus.talk(patch(upload, 0, 11), "204\nUpload-Offset: 11\nUpload-Media-Id: ...", body=GIF)


def test_the_length_comes_behind_the_last_bytes(tus: Tus) -> None:
    """A client may learn only from the end of its stream that there is no more."""
    upload = deferred(tus)
    tus.talk(patch(upload, 0), "204\nUpload-Media-Id: (absent)", body=GIF)
    tus.talk(patch(upload, 11, 11), "204\nUpload-Offset: 11\nUpload-Media-Id: (anything)")
    tus.talk(f"HEAD /files/{upload}\n{TUS}", "200\nUpload-Offset: 11\nUpload-Length: 11")


def test_a_small_text_is_refused_when_its_length_comes(tus: Tus) -> None:
    upload = deferred(tus)
    tus.talk(patch(upload, 0), "204", body=b"hello world")
    tus.talk(patch(upload, 11, 11), "415\nUpload-Offset: (absent)")
    tus.talk(f"HEAD /files/{upload}\n{TUS}", "415")


def test_a_creation_with_bytes_and_without_a_length(tus: Tus) -> None:
    response = tus.talk(
        f"POST /files/\n{TUS}\nUpload-Defer-Length: 1\nContent-Type: {OCTETS}",
        "201\nUpload-Offset: 11\nUpload-Media-Id: (absent)",
        body=GIF,
    )
    tus.talk(patch(upload_id(response), 11, 11), "204\nUpload-Media-Id: (anything)")


def test_an_empty_file_whose_length_comes_later(tus: Tus) -> None:
    """The Upload-Length header MAY be set to 0: the same answer as if it had been told at once."""
    upload = deferred(tus)
    tus.talk(patch(upload, 0, 0), "204\nUpload-Offset: 0\nUpload-Media-Id: (anything)")
    tus.talk(f"HEAD /files/{upload}\n{TUS}", "200\nUpload-Offset: 0\nUpload-Length: 0")


@pytest.mark.parametrize("value", ["0", "2", "", "true", "1, 1", "01"])
def test_another_value_than_1(tus: Tus, value: str) -> None:
    """If the Upload-Defer-Length header contains any other value than 1 the server should return a
    400 Bad Request status."""
    tus.talk(
        f"POST /files/\n{TUS}\nUpload-Defer-Length: {value}",
        "400\n\nUpload-Defer-Length must be 1.",
    )


def test_a_length_that_is_told_and_deferred(tus: Tus) -> None:
    """The request MUST include one of the following headers."""
    tus.talk(f"POST /files/\n{TUS}\nUpload-Defer-Length: 1\nUpload-Length: 11", "400")


def test_the_length_is_told_twice(tus: Tus) -> None:
    """Once set the length MUST NOT be changed."""
    upload = deferred(tus)
    tus.talk(patch(upload, 0, 20), "204", body=b"GIF89a")
    tus.talk(patch(upload, 6, 20), "204\nUpload-Offset: 8", body=b"--")
    for other in (19, 21, 8):
        tus.talk(patch(upload, 8, other), "400", body=b"")
    tus.talk(f"HEAD /files/{upload}\n{TUS}", "200\nUpload-Offset: 8\nUpload-Length: 20")


def test_the_length_of_the_creation_is_told_again(tus: Tus) -> None:
    upload = tus.create(11)
    tus.talk(patch(upload, 0, 11), "204\nUpload-Offset: 6", body=b"GIF89a")
    tus.talk(
        patch(upload, 6, 12),
        "400\n\nUpload-Length is 12, but 11 since the creation; "
        "the length of an upload does not change.",
        body=b"------",
    )
    assert tus.offset(upload) == 6


def test_a_length_below_the_offset(tus: Tus) -> None:
    upload = deferred(tus)
    tus.talk(patch(upload, 0), "204", body=GIF)
    tus.talk(patch(upload, 11, 10), "400\n\nUpload-Length is 10; 11 bytes are here already.")
    tus.talk(f"HEAD /files/{upload}\n{TUS}", "200\nUpload-Offset: 11\nUpload-Defer-Length: 1")
    tus.talk(patch(upload, 11, 11), "204")


@pytest.mark.parametrize("text", [text for text in NOT_NUMBERS if text])
def test_a_length_that_is_no_number(tus: Tus, text: str) -> None:
    upload = deferred(tus)
    tus.talk(patch(upload, 0, text), "400", body=GIF)
    assert tus.offset(upload) == 0


def test_a_body_beyond_the_length_that_comes_with_it(tus: Tus) -> None:
    upload = deferred(tus)
    tus.talk(patch(upload, 0, 10), "413\nUpload-Offset: 0", body=GIF)
    tus.talk(f"HEAD /files/{upload}\n{TUS}", "200\nUpload-Offset: 0\nUpload-Defer-Length: 1")


def test_a_break_keeps_the_length_that_came(tus: Tus) -> None:
    upload = deferred(tus)
    tus.talk(
        patch(upload, 0, 11),
        "400\nUpload-Offset: 6",
        wsgi_input=Cut(b"GIF89a"),
        CONTENT_LENGTH="11",
    )
    tus.talk(f"HEAD /files/{upload}\n{TUS}", "200\nUpload-Offset: 6\nUpload-Length: 11")


def test_a_length_beyond_the_largest(small: Flask) -> None:
    """If the length of the upload exceeds the maximum, the Server MUST respond with the 413 Request
    Entity Too Large status."""
    tus = Tus(small)
    upload = deferred(tus)
    tus.talk(patch(upload, 0, MOST + 1), "413", body=GIF)
    tus.talk(f"HEAD /files/{upload}\n{TUS}", "200\nUpload-Offset: 0\nUpload-Defer-Length: 1")
    tus.talk(patch(upload, 0, MOST), "204", body=GIF)


def test_bytes_beyond_the_largest_upload(small: Flask) -> None:
    """The largest upload holds also while nobody knows how long this one will be."""
    tus = Tus(small)
    upload = deferred(tus)
    whole = MP4 + bytes(MOST - len(MP4))
    tus.talk(patch(upload, 0), "413\nUpload-Offset: 0", body=whole + b"!")
    tus.talk(patch(upload, 0), "204", body=whole[:90])
    tus.talk(patch(upload, 90), "413\nUpload-Offset: 90", body=whole[90:] + b"!")
    tus.talk(patch(upload, 90), "204\nUpload-Offset: 100", body=whole[90:])
    tus.talk(patch(upload, 100), "413\nUpload-Offset: 100", body=b"!")
    tus.talk(patch(upload, 100, 100), "204\nUpload-Media-Id: (anything)")


def test_a_chunked_body_beyond_the_largest_upload(small: Flask) -> None:
    tus = Tus(small)
    upload = deferred(tus)
    tus.talk(patch(upload, 0), "204", body=GIF)
    tus.talk(
        patch(upload, 11),
        "413\nUpload-Offset: 11",
        wsgi_input=Cut(b"x" * MOST),
        HTTP_TRANSFER_ENCODING="chunked",
    )
    assert tus.offset(upload) == 11


def test_a_creation_with_a_chunked_body_beyond_the_largest_upload(small: Flask) -> None:
    tus = Tus(small)
    tus.talk(
        f"POST /files/\n{TUS}\nUpload-Defer-Length: 1\nContent-Type: {OCTETS}",
        "413\nLocation: (absent)",
        wsgi_input=Cut(GIF + b"x" * MOST),
        HTTP_TRANSFER_ENCODING="chunked",
    )
