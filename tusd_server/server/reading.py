"""A request's head, read strictly.

The standard library's parser forgives (folded lines, blanks before a colon, lines without one),
and forgiveness is how two servers come to disagree on where a request ends. It is also the most
expensive part of a small request.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

MAX_LINE_BYTES = 16 * 1024
MAX_HEAD_BYTES = 64 * 1024

# "request-line = method SP request-target SP HTTP-version"
# https://www.rfc-editor.org/rfc/rfc9112#section-3
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) HTTP/1\.([01])\r?\n")
# "field-line = field-name ":" OWS field-value OWS"; no control character in a value but the tab.
# https://www.rfc-editor.org/rfc/rfc9112#section-5
_FIELD_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\r?\n"
)
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)
# "Host = uri-host [ ":" port ]"; no http URI has an empty host.
# https://www.rfc-editor.org/rfc/rfc9110#section-7.2
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[!$%&'()*+,;=\-._~0-9A-Za-z]+)(?::[0-9]*)?", re.ASCII)


class BadRequestHead(ValueError):
    """The head cannot be read; the text is one sentence for the client."""


class HeadTooLarge(BadRequestHead):
    """A line, or the whole head, is longer than allowed."""


class RequestHeaders:
    """The fields of one request, in order, with the framing rules already enforced."""

    __slots__ = ("chunked", "content_length", "fields")

    def __init__(self, fields: list[tuple[str, str]], version: str) -> None:
        """Check the fields that say where the body ends, and Host; raises BadRequestHead."""
        self.fields = fields
        self._check_host(version)
        self.chunked = self._chunked(version)
        self.content_length = self._content_length()

    def all(self, name: str) -> list[str]:
        """Every value of a field; `name` in lower case."""
        return [value for key, value in self.fields if key.lower() == name]

    def items(self) -> Iterator[tuple[str, str]]:
        """Name and value of every field; gunicorn's access log asks for them."""
        return iter(self.fields)

    def tokens(self, name: str) -> set[str]:
        """The lower-case members of a field that is a list."""
        return {token.strip().lower() for value in self.all(name) for token in value.split(",")} - {
            ""
        }

    def _check_host(self, version: str) -> None:
        # Two servers that believe in different ones of two hosts make different links.
        hosts = self.all("host")
        if not hosts and version == "HTTP/1.0":
            return
        if len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None:
            raise BadRequestHead("Host must be there once and name a host and perhaps a port.")

    def _chunked(self, version: str) -> bool:
        codings = self.all("transfer-encoding")
        if not codings:
            return False
        if len(codings) > 1 or codings[0].lower() != "chunked":
            raise BadRequestHead("Transfer-Encoding must be chunked and nothing else.")
        if version == "HTTP/1.0":
            raise BadRequestHead("Transfer-Encoding needs HTTP/1.1.")
        return True

    def _content_length(self) -> int | None:
        lengths = self.all("content-length")
        if not lengths:
            return None
        if self.chunked:
            raise BadRequestHead("Content-Length and Transfer-Encoding exclude each other.")
        if len(lengths) > 1 or _DIGITS.fullmatch(lengths[0]) is None:
            raise BadRequestHead("Content-Length must be one non-negative whole number.")
        return int(lengths[0])


def parse_request_line(line: bytes) -> tuple[str, str, str]:
    """Split a request line into method, target and version, or raise BadRequestHead."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise BadRequestHead("The request line must be a method, a target and HTTP/1.0 or 1.1.")
    method, target, minor = match.groups()
    return method.decode("ascii"), target.decode("ascii"), f"HTTP/1.{minor.decode('ascii')}"


def read_headers(stream: BinaryIO, version: str) -> RequestHeaders:
    """Read the header section up to its empty line; raises BadRequestHead.

    A connection that ends in the middle is EOFError: nobody is there to be answered.
    """
    fields: list[tuple[str, str]] = []
    left = MAX_HEAD_BYTES
    while True:
        line = stream.readline(min(MAX_LINE_BYTES, left) + 1)
        if line in (b"\r\n", b"\n"):
            return RequestHeaders(fields, version)
        left -= len(line)
        if len(line) > MAX_LINE_BYTES or left < 0:
            raise HeadTooLarge("The request's headers are too large; 64 KiB are allowed.")
        if not line.endswith(b"\n"):
            raise EOFError
        fields.append(parse_field_line(line))


def parse_field_line(line: bytes) -> tuple[str, str]:
    """Split a header's or trailer's line into name and value, or raise BadRequestHead."""
    match = _FIELD_LINE.fullmatch(line)
    if match is None:
        raise BadRequestHead("A header line is malformed; it must be a name, a colon, a value.")
    return match[1].decode("ascii"), match[2].decode("latin-1")
