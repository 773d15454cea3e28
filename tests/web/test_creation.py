"""The creation extension, and creation-with-upload."""

from pathlib import Path

import pytest
from flask import Flask

from tests.rooms import GIF, OCTETS, Cut, Tus, make_app, metadata, settings, upload_id
from tests.web.test_core import NOT_NUMBERS, TUS


def files_of(tmp_path: Path) -> list[str]:
    """What lies in the data directory, our own folder aside."""
    return sorted(path.name for path in (tmp_path / "data").iterdir() if path.name[0] != ".")


def test_a_creation_is_answered_with_its_url(tus: Tus) -> None:
    """The Server MUST acknowledge a successful upload creation with the 201 Created status. The
    Server MUST set the Location header to the URL of the created resource."""
    tus.talk(
        f"""
        POST /files/
        Host: media.example
        {TUS}
        Upload-Length: 11
        Upload-Metadata: filename d29ybGRfZG9taW5hdGlvbl9wbGFuLm1wNA==,is_confidential
        """,
        f"""
        201
        {TUS}
        Location: http://media.example/files/...
        Upload-Offset: (absent)
        Upload-Media-Id: (absent)
        Content-Type: (absent)
        """,
    )


def test_the_url_without_its_last_slash_is_the_same(tus: Tus) -> None:
    """A redirect would lose the POST."""
    tus.talk(f"POST /files\n{TUS}\nUpload-Length: 11", "201\nLocation: http://localhost/files/...")


def test_every_upload_has_a_name_that_nobody_guesses(tus: Tus) -> None:
    ids = {tus.create() for _ in range(20)}
    assert len(ids) == 20
    assert all(len(each) == 32 for each in ids)


def test_an_empty_file_is_complete_at_once(tus: Tus) -> None:
    """The value MUST be a non-negative integer: zero is one, and no PATCH follows."""
    response = tus.talk(
        f"POST /files/\n{TUS}\nUpload-Length: 0",
        """
        201
        Location: (anything)
        Upload-Media-Id: (anything)
        """,
    )
    tus.talk(
        f"HEAD /files/{upload_id(response)}\n{TUS}",
        f"200\nUpload-Offset: 0\nUpload-Length: 0\nUpload-Media-Id: "
        f"{response.headers['Upload-Media-Id']}",
    )


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_a_length_that_is_no_number(alice: Tus, tmp_path: Path, text: str) -> None:
    """Upload-Length: The value MUST be a non-negative integer."""
    alice.talk(
        f"POST /files/\n{TUS}\nUpload-Length: {text}",
        f"""
        400
        {TUS}
        Location: (absent)
        """,
    )
    assert files_of(tmp_path) == []


def test_a_length_that_is_said_twice(alice: Tus, tmp_path: Path) -> None:
    alice.talk(
        f"POST /files/\n{TUS}\nUpload-Length: 11\nUpload-Length: 12",
        """
        400

        Upload-Length is '11, 12'; it must be one non-negative whole number below 2^63.
        """,
    )
    assert files_of(tmp_path) == []


def test_a_creation_without_a_length(alice: Tus, tmp_path: Path) -> None:
    """The request MUST include one of the following headers: Upload-Length, Upload-Defer-Length."""
    alice.talk(
        f"POST /files/\n{TUS}",
        "400\n\nUpload-Length is missing; it must be a non-negative whole number of bytes.",
    )
    assert files_of(tmp_path) == []


@pytest.mark.parametrize(
    "header",
    [
        "Upload-Defer-Length: 1",
        "Upload-Defer-Length: 0",
        "Upload-Concat: whole",
        "Upload-Concat: final;/files/24e533e02ec3bc40c387f1a0e460e216",
    ],
)
def test_a_length_does_not_go_with_what_excludes_it(
    alice: Tus, tmp_path: Path, header: str
) -> None:
    """The request MUST include one of the following headers: Upload-Length, Upload-Defer-Length.
    The Client MUST NOT include the Upload-Length header in the final upload creation."""
    alice.talk(f"POST /files/\n{TUS}\nUpload-Length: 11\n{header}", f"400\n{TUS}")
    assert files_of(tmp_path) == []


def test_the_largest_upload(tmp_path: Path) -> None:
    """If the length of the upload exceeds the maximum, which MAY be specified using the
    Tus-Max-Size header, the Server MUST respond with the 413 Request Entity Too Large status."""
    with make_app(settings(tmp_path, max_size=1000)) as app:
        tus = Tus(app)
        tus.talk("OPTIONS /files/", "204\nTus-Max-Size: 1000")
        tus.talk(f"POST /files/\n{TUS}\nUpload-Length: 1000", "201")
        tus.talk(
            f"POST /files/\n{TUS}\nUpload-Length: 1001",
            f"""
            413
            {TUS}
            Location: (absent)

            Upload-Length is 1001 bytes; at most 1000 bytes are allowed.
            """,
        )


@pytest.mark.parametrize(
    "header",
    [
        metadata(filename="ferien.jpg", filetype="image/jpeg", post_id="7"),
        metadata(binary=b"\x00\xff\xfe\n", z="last", a="first"),
        "key_without_value",
        "a,b YWI=,c",
        "odd!#$%&'*+-./:;<=>?@[]^_`{|}~ eA==",
    ],
)
def test_metadata_comes_back_letter_by_letter(tus: Tus, header: str) -> None:
    """If an upload contains additional metadata, responses to HEAD requests MUST include the
    Upload-Metadata header and its value as specified by the Client during the creation."""
    upload = tus.create(metadata=header)
    tus.talk(f"HEAD /files/{upload}\n{TUS}", f"200\nUpload-Metadata: {header}")


def test_an_empty_metadata_header_is_none_at_all(tus: Tus) -> None:
    """tuspy and go-tus send it when there is no metadata."""
    upload = tus.create(metadata="")
    tus.talk(f"HEAD /files/{upload}\n{TUS}", "200\nUpload-Metadata: (absent)")


@pytest.mark.parametrize(
    "header",
    [
        "filename not*base64",
        "filename YQ",
        "filename YQ==YQ==",
        "filename  YQ==",
        "filename YQ== YQ==",
        "filename YQ==,",
        ",",
        "filename YQ==,filename Yg==",
        "ключ YQ==".encode().decode("latin-1"),
    ],
)
def test_metadata_that_cannot_be_read(alice: Tus, tmp_path: Path, header: str) -> None:
    """The key MUST NOT contain spaces and commas and MUST NOT be empty. The value MUST be Base64
    encoded. All keys MUST be unique."""
    alice.talk(f"POST /files/\n{TUS}\nUpload-Length: 11\nUpload-Metadata: {header}", f"400\n{TUS}")
    assert files_of(tmp_path) == []


@pytest.mark.parametrize("post_id", ["", "\x00", "a\nb", "x" * 256])
def test_a_post_that_nobody_could_have(alice: Tus, tmp_path: Path, post_id: str) -> None:
    header = metadata(post_id=post_id)
    expected = "201" if post_id == "" else "400"
    alice.talk(f"POST /files/\n{TUS}\nUpload-Length: 11\nUpload-Metadata: {header}", expected)
    assert bool(files_of(tmp_path)) is (post_id == "")


# creation-with-upload


def test_a_creation_with_the_whole_file(tus: Tus) -> None:
    """The Server MUST include the Upload-Offset header in its response, with the value of how many
    bytes were accepted."""
    response = tus.talk(
        f"""
        POST /files/
        {TUS}
        Upload-Length: 11
        Content-Type: {OCTETS}

        GIF89a-----
        """,
        f"""
        201
        {TUS}
        Location: (anything)
        Upload-Offset: 11
        Upload-Media-Id: (anything)
        """,
    )
    assert tus.offset(upload_id(response)) == 11


def test_a_creation_with_the_first_bytes(tus: Tus) -> None:
    response = tus.talk(
        f"""
        POST /files/
        {TUS}
        Upload-Length: 20
        Content-Type: {OCTETS}

        GIF89a-----
        """,
        """
        201
        Upload-Offset: 11
        Upload-Media-Id: (absent)
        """,
    )
    upload = upload_id(response)
    assert tus.offset(upload) == 11
    assert tus.append(upload, 11, b"123456789").headers["Upload-Offset"] == "20"


def test_a_creation_with_a_chunked_body(tus: Tus) -> None:
    response = tus.send(
        "POST",
        "/files/",
        {"Tus-Resumable": "1.0.0", "Upload-Length": "11", "Content-Type": OCTETS},
        wsgi_input=Cut(GIF),
        HTTP_TRANSFER_ENCODING="chunked",
    )
    assert (response.status_code, response.headers["Upload-Offset"]) == (201, "11")


def test_a_creation_whose_body_breaks_off_keeps_what_came(tus: Tus) -> None:
    """The Client learns the URL and goes on with PATCH."""
    response = tus.send(
        "POST",
        "/files/",
        {"Tus-Resumable": "1.0.0", "Upload-Length": "11", "Content-Type": OCTETS},
        wsgi_input=Cut(b"GIF89a-"),
        CONTENT_LENGTH="11",
    )
    assert (response.status_code, response.headers["Upload-Offset"]) == (201, "7")
    upload = upload_id(response)
    assert tus.offset(upload) == 7
    assert tus.append(upload, 7, GIF[7:]).status_code == 204


def test_a_body_of_another_type_is_no_beginning(alice: Tus, tmp_path: Path) -> None:
    """The Client MUST include the Content-Type: application/offset+octet-stream header if it
    includes bytes in the POST request."""
    alice.talk(
        f"""
        POST /files/
        {TUS}
        Upload-Length: 11
        Content-Type: text/plain

        GIF89a-----
        """,
        f"""
        415
        {TUS}
        Location: (absent)

        Content-Type of a creation with bytes must be application/offset+octet-stream.
        """,
    )
    assert files_of(tmp_path) == []


@pytest.mark.parametrize("content_type", ["(absent)", "text/plain", OCTETS])
def test_a_creation_without_bytes_may_have_any_type(tus: Tus, content_type: str) -> None:
    tus.talk(
        f"POST /files/\n{TUS}\nUpload-Length: 11\nContent-Type: {content_type}",
        "201\nUpload-Offset: (absent)",
    )


def test_a_body_beyond_the_length_creates_nothing(alice: Tus, tmp_path: Path) -> None:
    alice.talk(
        f"""
        POST /files/
        {TUS}
        Upload-Length: 10
        Content-Type: {OCTETS}

        GIF89a-----
        """,
        f"""
        413
        {TUS}
        Location: (absent)
        """,
    )
    chunked = alice.send(
        "POST",
        "/files/",
        {"Tus-Resumable": "1.0.0", "Upload-Length": "10", "Content-Type": OCTETS},
        wsgi_input=Cut(GIF),
        HTTP_TRANSFER_ENCODING="chunked",
    )
    assert chunked.status_code == 413
    assert files_of(tmp_path) == []


@pytest.mark.parametrize("text", ["-1", "+11", "1_1", "11, 11"])
def test_a_content_length_that_is_no_number(app: Flask, tmp_path: Path, text: str) -> None:
    response = Tus(app).send(
        "POST",
        "/files/",
        {"Tus-Resumable": "1.0.0", "Upload-Length": "11", "Content-Type": OCTETS},
        wsgi_input=Cut(GIF),
        CONTENT_LENGTH=text,
    )
    assert response.status_code == 400
    assert files_of(tmp_path) == []


def test_wrong_content_creates_nothing(alice: Tus, tmp_path: Path) -> None:
    """The answer names what would be right; nobody learns the URL, so nothing is kept."""
    alice.talk(
        f"""
        POST /files/
        {TUS}
        Upload-Length: 11
        Content-Type: {OCTETS}

        #EXTM3U....
        """,
        f"""
        415
        {TUS}
        Location: (absent)
        """,
    )
    assert files_of(tmp_path) == []


def test_wrong_content_ends_an_upload_for_good(tus: Tus) -> None:
    """HEAD answers the same, so that no client takes the upload for a success."""
    upload = tus.create(11, metadata(filename="film.mp4", filetype="video/mp4"))
    refusal = """
        415
        Tus-Resumable: 1.0.0
        Upload-Offset: (absent)
        """
    sentence = tus.append(upload, 0, GIF).text
    assert sentence.startswith("The file is image/gif but was declared as video")
    tus.talk(f"HEAD /files/{upload}\n{TUS}", refusal)
    tus.talk(
        f"PATCH /files/{upload}\n{TUS}\nContent-Type: {OCTETS}\nUpload-Offset: 0\n\nGIF", refusal
    )
    assert tus.delete(upload).status_code == 204


@pytest.mark.parametrize("host", ["127.0.0..1:1080", f"{'a' * 70}.example", "xn--9ca.example"])
def test_a_host_that_is_no_usable_name_is_told_back_as_it_is(tus: Tus, host: str) -> None:
    tus.talk(
        f"POST /files/\n{TUS}\nHost: {host}\nUpload-Length: 11", f"201\nLocation: http://{host}/..."
    )
