import io

import pytest

from tusd_server.server.reading import (
    MAX_HEAD_BYTES,
    MAX_LINE_BYTES,
    BadRequestHead,
    HeadTooLarge,
    RequestHeaders,
    parse_request_line,
    read_headers,
)

HOST = b"Host: here\r\n"


def headers_of(text: bytes, version: str = "HTTP/1.1") -> RequestHeaders:
    return read_headers(io.BytesIO(text), version)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (b"GET / HTTP/1.1\r\n", ("GET", "/", "HTTP/1.1")),
        (b"PATCH /files/a?b=c HTTP/1.0\n", ("PATCH", "/files/a?b=c", "HTTP/1.0")),
        (b"OPTIONS * HTTP/1.1\r\n", ("OPTIONS", "*", "HTTP/1.1")),
        (b"M-SEARCH http://h/p HTTP/1.1\r\n", ("M-SEARCH", "http://h/p", "HTTP/1.1")),
    ],
)
def test_request_line_has_three_parts(line: bytes, parts: tuple[str, str, str]) -> None:
    assert parse_request_line(line) == parts


@pytest.mark.parametrize(
    "line",
    [
        b"\r\n",
        b"GET /\r\n",
        b"GET  / HTTP/1.1\r\n",
        b"GET / HTTP/1.1 \r\n",
        b"GET / HTTP/2.0\r\n",
        b"GET / HTTP/1.2\r\n",
        b"GET / http/1.1\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\n",
        b"GET /\x00 HTTP/1.1\r\n",
        b"GE T / HTTP/1.1\r\n",
        b"G(T / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\n",
    ],
)
def test_request_line_of_another_shape_is_refused(line: bytes) -> None:
    with pytest.raises(BadRequestHead):
        parse_request_line(line)


def test_headers_keep_their_order_and_lose_their_blanks() -> None:
    headers = headers_of(HOST + b"A:1\r\nb: \t2 3 \t\r\nA:\r\n\r\n")
    assert headers.fields == [("Host", "here"), ("A", "1"), ("b", "2 3"), ("A", "")]
    assert headers.all("a") == ["1", ""]
    assert dict(headers.items())["b"] == "2 3"


def test_header_values_are_latin_1() -> None:
    assert headers_of(HOST + b"A: \xe4\xff\r\n\r\n").all("a") == ["\xe4\xff"]


def test_list_members_are_lower_case_and_never_empty() -> None:
    headers = headers_of(HOST + b"Connection: Close, ,TE\r\nconnection: Upgrade\r\n\r\n")
    assert headers.tokens("connection") == {"close", "te", "upgrade"}


@pytest.mark.parametrize(
    "line",
    [
        b"A : 1\r\n",
        b" A: 1\r\n",
        b"A: 1\r\n folded\r\n",
        b"no colon\r\n",
        b": nameless\r\n",
        b"A: \x00\r\n",
        b"A: 1\rB: 2\r\n",
        b"A: \x7f\r\n",
        b"\xc3\xa4: 1\r\n",
    ],
)
def test_header_line_of_another_shape_is_refused(line: bytes) -> None:
    with pytest.raises(BadRequestHead):
        headers_of(HOST + line + b"\r\n")


@pytest.mark.parametrize("text", [b"", b"A: 1", b"A: 1\r\n", HOST + b"A: 1\r\nB"])
def test_headers_without_an_end_are_nobodys(text: bytes) -> None:
    with pytest.raises(EOFError):
        headers_of(text)


def test_longest_line_is_read_and_a_longer_one_is_not() -> None:
    line = b"A: " + b"x" * (MAX_LINE_BYTES - len(b"A: \r\n")) + b"\r\n"
    assert len(headers_of(HOST + line + b"\r\n").all("a")[0]) == MAX_LINE_BYTES - 5
    with pytest.raises(HeadTooLarge):
        headers_of(HOST + b"x" + line + b"\r\n")


def test_many_lines_are_too_large_together() -> None:
    lines = b"A: 1\r\n" * (MAX_HEAD_BYTES // 6 + 1)
    with pytest.raises(HeadTooLarge):
        headers_of(HOST + lines + b"\r\n")


@pytest.mark.parametrize(
    ("field", "length"),
    [(b"", None), (b"Content-Length: 0\r\n", 0), (b"content-length:00012\r\n", 12)],
)
def test_content_length(field: bytes, length: int | None) -> None:
    headers = headers_of(HOST + field + b"\r\n")
    assert (headers.content_length, headers.chunked) == (length, False)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: -1\r\n",
        b"Content-Length: +1\r\n",
        b"Content-Length: 1_0\r\n",
        b"Content-Length: 0x10\r\n",
        b"Content-Length: 1 2\r\n",
        b"Content-Length: 1, 1\r\n",
        b"Content-Length: \xb2\r\n",
        b"Content-Length:\r\n",
        b"Content-Length: 12345678901234567890\r\n",
        b"Content-Length: 1\r\nContent-Length: 1\r\n",
        b"Content-Length: 1\r\ncontent-length: 2\r\n",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding:\r\n",
    ],
)
def test_a_body_without_one_clear_end_is_refused(fields: bytes) -> None:
    with pytest.raises(BadRequestHead):
        headers_of(HOST + fields + b"\r\n")


def test_chunked_needs_http_1_1() -> None:
    fields = HOST + b"Transfer-Encoding: Chunked\r\n\r\n"
    assert headers_of(fields).chunked
    with pytest.raises(BadRequestHead):
        headers_of(fields, "HTTP/1.0")


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"Host:\r\n",
        b"Host: :80\r\n",
        b"Host: a\r\nHost: a\r\n",
        b"Host: a\r\nhost: b\r\n",
        b"Host: a b\r\n",
        b"Host: a/b\r\n",
    ],
)
def test_http_1_1_needs_exactly_one_host(fields: bytes) -> None:
    # "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message
    # that lacks a Host header field and to any request message that contains more than one Host
    # header field line or a Host header field with an invalid field value."
    with pytest.raises(BadRequestHead):
        headers_of(fields + b"\r\n")


@pytest.mark.parametrize("host", [b"a.example", b"a:80", b"[::1]:1080", b"10.0.0.1"])
def test_hosts_as_clients_send_them(host: bytes) -> None:
    assert headers_of(b"Host: " + host + b"\r\n\r\n").all("host") == [host.decode()]


def test_http_1_0_needs_no_host() -> None:
    assert headers_of(b"\r\n", "HTTP/1.0").fields == []
