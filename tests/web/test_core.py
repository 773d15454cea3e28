"""The core protocol: HEAD, PATCH, OPTIONS, the version. Sentences are those of tus 1.0.0."""

import pytest

from tests.rooms import GIF, OCTETS, Cut, Tus

TUS = "Tus-Resumable: 1.0.0"
NOT_NUMBERS = [
    "",
    "-1",
    "+5",
    "1_0",
    "5.0",
    "0x5",
    "1e3",
    "5 5",
    "5,5",
    "five",
    "٣".encode().decode("latin-1"),
    str(2**63),
    "9" * 400,
]


def test_head_of_a_new_upload_shows_offset_and_length(tus: Tus) -> None:
    """The Server MUST always include the Upload-Offset header in the response for a HEAD request,
    even if the offset is 0. If the size of the upload is known, the Server MUST include the
    Upload-Length header. The Server MUST prevent the client and/or proxies from caching the
    response by adding the Cache-Control: no-store header to the response."""
    upload = tus.create(11)
    tus.talk(
        f"""
        HEAD /files/{upload}
        {TUS}
        """,
        f"""
        200
        {TUS}
        Upload-Offset: 0
        Upload-Length: 11
        Cache-Control: no-store
        Upload-Media-Id: (absent)
        """,
    )


def test_head_of_an_unknown_upload(tus: Tus) -> None:
    """If the resource is not found, the Server SHOULD return either the 404 Not Found, 410 Gone or
    403 Forbidden status without the Upload-Offset header."""
    response = tus.talk(
        f"""
        HEAD /files/24e533e02ec3bc40c387f1a0e460e216
        {TUS}
        """,
        f"""
        404
        {TUS}
        Upload-Offset: (absent)
        Cache-Control: no-store
        """,
    )
    assert response.data == b""


def test_patch_moves_the_offset_by_what_it_brought(tus: Tus) -> None:
    """The Server MUST acknowledge successful PATCH requests with the 204 No Content status. It
    MUST include the Upload-Offset header containing the new offset. The new offset MUST be the sum
    of the offset before the PATCH request and the number of bytes received."""
    upload = tus.create(20)
    tus.talk(
        f"""
        PATCH /files/{upload}
        {TUS}
        Content-Type: {OCTETS}
        Upload-Offset: 0

        GIF89a-hello
        """,
        f"""
        204
        {TUS}
        Upload-Offset: 12
        Upload-Media-Id: (absent)
        Content-Type: (absent)
        """,
    )
    assert tus.offset(upload) == 12
    tus.talk(
        f"""
        PATCH /files/{upload}
        {TUS}
        Content-Type: {OCTETS}
        Upload-Offset: 12

        -goodbye
        """,
        f"""
        204
        {TUS}
        Upload-Offset: 20
        Upload-Media-Id: (anything)
        """,
    )


def test_the_bytes_are_those_that_were_sent(alice: Tus) -> None:
    """The Server SHOULD accept PATCH requests against any upload URL and apply the bytes contained
    in the message at the given offset specified by the Upload-Offset header."""
    upload = alice.create(20)
    for offset, part in ((0, b"GIF89a-"), (7, b"hello"), (12, b"-goodbye")):
        assert alice.append(upload, offset, part).status_code == 204
    assert alice.get(f"/files/{upload}").data == b"GIF89a-hello-goodbye"


def test_patch_at_another_offset_changes_nothing(tus: Tus) -> None:
    """If the offsets do not match, the Server MUST respond with the 409 Conflict status without
    modifying the upload resource. (TUSKit goes on from the Upload-Offset of the answer.)"""
    upload = tus.create(20)
    tus.append(upload, 0, b"GIF89a")
    for wrong in (0, 5, 7, 19):
        tus.talk(
            f"""
            PATCH /files/{upload}
            {TUS}
            Content-Type: {OCTETS}
            Upload-Offset: {wrong}

            X
            """,
            f"""
            409
            {TUS}
            Upload-Offset: 6

            Upload-Offset is {wrong}; the upload stands at 6.
            """,
        )
    assert tus.offset(upload) == 6


@pytest.mark.parametrize("content_type", ["(absent)", "text/plain", "application/octet-stream"])
def test_patch_of_another_type(tus: Tus, content_type: str) -> None:
    """All PATCH requests MUST use Content-Type: application/offset+octet-stream, otherwise the
    server SHOULD return a 415 Unsupported Media Type status."""
    upload = tus.create()
    tus.talk(
        f"""
        PATCH /files/{upload}
        {TUS}
        Content-Type: {content_type}
        Upload-Offset: 0

        GIF89a-----
        """,
        f"""
        415
        {TUS}
        Upload-Offset: (absent)

        Content-Type of a PATCH must be application/offset+octet-stream.
        """,
    )
    assert tus.offset(upload) == 0


@pytest.mark.parametrize("content_type", [OCTETS.upper(), f"{OCTETS}; charset=binary"])
def test_a_type_is_compared_as_http_does(tus: Tus, content_type: str) -> None:
    upload = tus.create()
    tus.talk(
        f"""
        PATCH /files/{upload}
        {TUS}
        Content-Type: {content_type}
        Upload-Offset: 0

        GIF89a-----
        """,
        "204",
    )


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_an_offset_that_is_no_number(tus: Tus, text: str) -> None:
    """The Upload-Offset request and response header indicates a byte offset within a resource. The
    value MUST be a non-negative integer."""
    upload = tus.create()
    tus.talk(
        f"""
        PATCH /files/{upload}
        {TUS}
        Content-Type: {OCTETS}
        Upload-Offset: {text}

        GIF89a-----
        """,
        f"""
        400
        {TUS}
        Content-Type: text/plain...
        """,
    )
    assert tus.offset(upload) == 0


@pytest.mark.parametrize("second", ["0", "6"])
def test_an_offset_that_is_said_twice(tus: Tus, second: str) -> None:
    upload = tus.create()
    tus.talk(
        f"""
        PATCH /files/{upload}
        {TUS}
        Content-Type: {OCTETS}
        Upload-Offset: 0
        Upload-Offset: {second}

        GIF89a-----
        """,
        "400",
    )
    assert tus.offset(upload) == 0


def test_a_patch_without_an_offset(tus: Tus) -> None:
    upload = tus.create()
    tus.talk(
        f"""
        PATCH /files/{upload}
        {TUS}
        Content-Type: {OCTETS}

        GIF89a-----
        """,
        """
        400

        Upload-Offset is missing; it must be a non-negative whole number of bytes.
        """,
    )


def test_a_patch_to_nowhere(tus: Tus) -> None:
    """If the Server receives a PATCH request against a non-existent resource it SHOULD return a
    404 Not Found status."""
    tus.talk(
        f"""
        PATCH /files/24e533e02ec3bc40c387f1a0e460e216
        {TUS}
        Content-Type: {OCTETS}
        Upload-Offset: 0

        GIF89a-----
        """,
        f"""
        404
        {TUS}
        Upload-Offset: (absent)

        There is no such upload.
        """,
    )


def test_a_body_beyond_the_length_is_refused_unread(tus: Tus) -> None:
    upload = tus.create()
    tus.talk(
        f"""
        PATCH /files/{upload}
        {TUS}
        Content-Type: {OCTETS}
        Upload-Offset: 0

        GIF89a-----!
        """,
        f"""
        413
        {TUS}
        Upload-Offset: 0

        The body has 12 bytes; only 11 are missing to 11.
        """,
    )
    assert tus.offset(upload) == 0


def test_a_chunked_body_beyond_the_length_leaves_nothing(tus: Tus) -> None:
    upload = tus.create()
    tus.append(upload, 0, b"GIF89a")
    response = tus.append(
        upload, 6, b"", wsgi_input=Cut(b"-----!"), HTTP_TRANSFER_ENCODING="chunked"
    )
    assert (response.status_code, response.headers["Upload-Offset"]) == (413, "6")
    assert tus.offset(upload) == 6


def test_a_chunked_body_needs_no_length(tus: Tus) -> None:
    upload = tus.create()
    response = tus.append(upload, 0, b"", wsgi_input=Cut(GIF), HTTP_TRANSFER_ENCODING="chunked")
    assert (response.status_code, response.headers["Upload-Offset"]) == (204, "11")


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, 400), (ConnectionResetError(), 400), (OSError(), 400), (TimeoutError(), 503)],
)
def test_bytes_before_a_break_are_kept(tus: Tus, error: Exception | None, status: int) -> None:
    """Both, Client and Server, SHOULD attempt to detect and handle network errors predictably. The
    Server SHOULD always attempt to store as much of the received data as possible."""
    upload = tus.create()
    response = tus.append(upload, 0, GIF, wsgi_input=Cut(b"GIF89a-", error))
    assert (response.status_code, response.headers["Upload-Offset"]) == (status, "7")
    assert tus.offset(upload) == 7
    assert tus.append(upload, 7, GIF[7:]).status_code == 204


def test_a_patch_of_nothing_confirms_the_offset(tus: Tus) -> None:
    upload = tus.create()
    tus.append(upload, 0, b"GIF89a")
    tus.talk(
        f"""
        PATCH /files/{upload}
        {TUS}
        Content-Type: {OCTETS}
        Upload-Offset: 6
        """,
        "204\nUpload-Offset: 6",
    )


def test_the_last_answer_is_given_again(tus: Tus) -> None:
    """A client that missed the answer to its last PATCH asks by HEAD, or repeats its end."""
    upload = tus.create()
    media_id = tus.append(upload, 0, GIF).headers["Upload-Media-Id"]
    for request in (
        f"PATCH /files/{upload}\n{TUS}\nContent-Type: {OCTETS}\nUpload-Offset: 11",
        f"HEAD /files/{upload}\n{TUS}",
    ):
        tus.talk(
            request,
            f"""
            20{"4" if request.startswith("PATCH") else "0"}
            Upload-Offset: 11
            Upload-Media-Id: {media_id}
            """,
        )


def test_a_finished_upload_takes_no_more_bytes(tus: Tus) -> None:
    upload = tus.create()
    tus.append(upload, 0, GIF)
    again = tus.append(upload, 0, GIF)
    assert (again.status_code, again.headers["Upload-Offset"]) == (409, "11")
    beyond = tus.append(upload, 11, b"more")
    assert (beyond.status_code, beyond.headers["Upload-Offset"]) == (413, "11")
    assert tus.offset(upload) == 11


def test_a_length_may_be_said_again(tus: Tus) -> None:
    """Some clients send it with each PATCH; as long as it is the same, nobody is harmed."""
    upload = tus.create()
    for offset, part in ((0, "GIF89a"), (6, "-----")):
        tus.talk(
            f"""
            PATCH /files/{upload}
            {TUS}
            Content-Type: {OCTETS}
            Upload-Offset: {offset}
            Upload-Length: 11

            {part}
            """,
            f"204\nUpload-Offset: {offset + len(part)}",
        )
    for length, status in ((11, "204"), (12, "400")):
        tus.talk(
            f"PATCH /files/{upload}\n{TUS}\nContent-Type: {OCTETS}\n"
            f"Upload-Offset: 11\nUpload-Length: {length}",
            status,
        )


def test_a_length_does_not_change(tus: Tus) -> None:
    """Once set the length MUST NOT be changed."""
    upload = tus.create()
    tus.talk(
        f"""
        PATCH /files/{upload}
        {TUS}
        Content-Type: {OCTETS}
        Upload-Offset: 0
        Upload-Length: 12

        GIF89a-----
        """,
        """
        400

        Upload-Length is 12, but 11 since the creation; the length of an upload does not change.
        """,
    )
    assert tus.offset(upload) == 0


@pytest.mark.parametrize("version", ["(absent)", "0.2.2", "1.0", "1.0.1", "2.0.0", "1.0.0,1.0.0"])
@pytest.mark.parametrize("verb", ["HEAD", "PATCH", "DELETE", "POST"])
def test_another_version_is_not_processed(alice: Tus, verb: str, version: str) -> None:
    """If the version specified by the Client is not supported by the Server, it MUST respond with
    the 412 Precondition Failed status and MUST include the Tus-Version header into the response.
    In addition, the Server MUST NOT process the request."""
    upload = alice.create()
    path = "/files/" if verb == "POST" else f"/files/{upload}"
    alice.talk(
        f"""
        {verb} {path}
        Tus-Resumable: {version}
        Content-Type: {OCTETS}
        Upload-Offset: 0
        Upload-Length: 11
        """,
        f"""
        412
        Tus-Version: 1.0.0
        {TUS}
        Location: (absent)
        Upload-Offset: (absent)
        """,
    )
    assert alice.offset(upload) == 0


@pytest.mark.parametrize("path", ["/files/", "/files", "/files/anything"])
@pytest.mark.parametrize("version", ["(absent)", "0.2.2"])
def test_options_tells_what_the_server_speaks(tus: Tus, path: str, version: str) -> None:
    """A successful response indicated by the 204 No Content or 200 OK status MUST contain the
    Tus-Version header. It MAY include the Tus-Extension and Tus-Max-Size headers. The Client
    SHOULD NOT include the Tus-Resumable header in the request and the Server MUST ignore the
    header."""
    tus.talk(
        f"""
        OPTIONS {path}
        Tus-Resumable: {version}
        Authorization: (absent)
        """,
        """
        204
        Tus-Version: 1.0.0
        Tus-Extension: creation,creation-with-upload,creation-defer-length,checksum,...
        Tus-Max-Size: 524288000
        Tus-Checksum-Algorithm: md5,sha1,sha256,sha512,crc32
        """,
    )


def test_every_extension_of_the_specification_is_offered(tus: Tus) -> None:
    response = tus.talk("OPTIONS /files/", "204")
    assert set(response.headers["Tus-Extension"].split(",")) == {
        "creation",
        "creation-defer-length",
        "creation-with-upload",
        "expiration",
        "checksum",
        "checksum-trailer",
        "termination",
        "concatenation",
        "concatenation-unfinished",
    }


@pytest.mark.parametrize(
    "name",
    [
        "%2e%2e%2fsecret",
        "..%2f..%2fetc%2fpasswd",
        ".tusd-server",
        "uploads",
        "uploads/alice",
        "%00",
        "a%00b",
        "a%0d%0ab",
        "%ff%fe",
        "%F0%9F%98%80",
        "a" * 5000,
        "-rf",
        "~root",
    ],
)
def test_a_name_that_is_no_id_is_not_found(alice: Tus, name: str) -> None:
    headers = {"Tus-Resumable": "1.0.0", "Content-Type": OCTETS, "Upload-Offset": "0"}
    for verb in ("HEAD", "PATCH", "DELETE", "GET"):
        response = alice.send(verb, f"/files/{name}", headers)
        assert response.status_code == 404
        assert response.headers["Tus-Resumable"] == "1.0.0"


@pytest.mark.parametrize("ending", [".info", "/info", "/", ".info.new"])
def test_what_lies_beside_an_upload_is_not_found(alice: Tus, ending: str) -> None:
    upload = alice.create()
    for verb in ("HEAD", "DELETE", "GET"):
        response = alice.send(verb, f"/files/{upload}{ending}", {"Tus-Resumable": "1.0.0"})
        assert response.status_code == 404
    assert alice.offset(upload) == 0


@pytest.mark.parametrize(
    ("verb", "path", "allowed"),
    [
        ("PUT", "/files/x", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("POST", "/files/x", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("GET", "/files/", "OPTIONS, POST"),
        ("PATCH", "/files/", "OPTIONS, POST"),
        ("BREW", "/files/", "OPTIONS, POST"),
    ],
)
def test_a_verb_that_the_url_does_not_take(tus: Tus, verb: str, path: str, allowed: str) -> None:
    tus.talk(f"{verb} {path}\n{TUS}", f"405\nAllow: {allowed}\n{TUS}")
