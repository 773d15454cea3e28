"""tus requests as prebuilt bytes, and one keep-alive connection that carries them."""

import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 120.0

_METADATA = "filename YmVuY2gubXA0,filetype dmlkZW8vbXA0"
_OFFSET_STREAM = "application/offset+octet-stream"
_NO_CONTENT = 204


class LoadFailed(Exception):
    """A server did not answer a load as tus 1.0 asks; the text is one sentence."""


@dataclass(frozen=True)
class Endpoint:
    """Where uploads are created."""

    host: str
    port: int
    path: str

    @classmethod
    def from_url(cls, url: str) -> "Endpoint":
        """Read an http URL; ValueError says in a sentence what is wrong with it."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{url} should look like http://127.0.0.1:1080/files/.")
        return cls(parts.hostname, parts.port or 80, parts.path or "/")


@dataclass(frozen=True)
class Reply:
    """The head of one final answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"

    @property
    def upload_path(self) -> str:
        """The path of the upload that a POST has created."""
        location = self.headers.get("location", "")
        if not location:
            raise LoadFailed(f"A POST was answered {self.status} without a Location.")
        parts = urlsplit(location)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def expect(self, what: str, status: int, offset: int | None = None) -> None:
        """Raise LoadFailed unless the answer has this status and this Upload-Offset."""
        if self.status != status:
            raise LoadFailed(f"{what} was answered {self.status}, not {status}.")
        shown = self.headers.get("upload-offset")
        if offset is not None and shown != str(offset):
            raise LoadFailed(f"{what} was answered with Upload-Offset {shown}, not {offset}.")


def creation(endpoint: Endpoint, upload_length: int, body: bytes | None = None) -> bytes:
    """POST: a new upload, with its first bytes when a body is given."""
    fields = {"Upload-Length": str(upload_length), "Upload-Metadata": _METADATA}
    if body is not None:
        fields["Content-Type"] = _OFFSET_STREAM
    fields["Content-Length"] = str(len(body or b""))
    return _request("POST", endpoint, endpoint.path, fields) + (body or b"")


def part_creation(endpoint: Endpoint, upload_length: int) -> bytes:
    """POST: a new part of a concatenation."""
    fields = {"Upload-Length": str(upload_length), "Upload-Concat": "partial"}
    return _request("POST", endpoint, endpoint.path, {**fields, "Content-Length": "0"})


def concatenation(endpoint: Endpoint, paths: Iterable[str]) -> bytes:
    """POST: one upload made of these parts."""
    fields = {"Upload-Concat": "final;" + " ".join(paths), "Upload-Metadata": _METADATA}
    return _request("POST", endpoint, endpoint.path, {**fields, "Content-Length": "0"})


def options(endpoint: Endpoint) -> bytes:
    return _request("OPTIONS", endpoint, endpoint.path, {})


def patch_head(
    endpoint: Endpoint, path: str, offset: int, length: int, checksum: str | None = None
) -> bytes:
    """The head of a PATCH; `length` bytes of body are to follow it."""
    fields = {
        "Upload-Offset": str(offset),
        "Content-Type": _OFFSET_STREAM,
        "Content-Length": str(length),
    }
    if checksum is not None:
        fields["Upload-Checksum"] = checksum
    return _request("PATCH", endpoint, path, fields)


def head(endpoint: Endpoint, path: str) -> bytes:
    return _request("HEAD", endpoint, path, {})


def deletion(endpoint: Endpoint, path: str) -> bytes:
    return _request("DELETE", endpoint, path, {"Content-Length": "0"})


def _request(method: str, endpoint: Endpoint, path: str, fields: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {endpoint.host}:{endpoint.port}"]
    lines += ["Tus-Resumable: 1.0.0", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def parse_reply(received: bytes, *, bodiless: bool) -> Reply | None:
    """The final answer once all of it has come, else None; interim 1xx answers are passed over."""
    header_end = received.find(b"\r\n\r\n")
    if header_end < 0:
        return None
    first, *lines = received[:header_end].decode("latin-1").split("\r\n")
    status = int(first.split(" ", 2)[1])
    rest = received[header_end + 4 :]
    if status < 200:
        return parse_reply(rest, bodiless=bodiless)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if bodiless or status == _NO_CONTENT or _body_is_complete(headers, rest):
        return Reply(status, headers)
    return None


def _body_is_complete(headers: Mapping[str, str], rest: bytes) -> bool:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return rest.endswith(b"0\r\n\r\n")
    return len(rest) >= int(headers.get("content-length", "0"))


class Line:
    """One connection: a request goes out, its reply comes back, then the next."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._received = b""
        self._bodiless = False
        self.socket = self._connect()

    def send(self, request: bytes) -> None:
        """Begin a new exchange; a server that has hung up shows when its reply is read."""
        self._received = b""
        self._bodiless = request.startswith(b"HEAD ")
        self.send_more(request)

    def send_more(self, piece: bytes | memoryview) -> None:
        # An early refusal resets the connection while we send; its text is still to be read.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(piece)

    def receive(self) -> Reply | None:
        """Read once; the reply if it is complete. LoadFailed if the server hung up instead."""
        try:
            piece = self.socket.recv(65536)
        except TimeoutError:
            raise LoadFailed(f"No answer came within {TIMEOUT_SECONDS:.0f} s.") from None
        except ConnectionResetError:
            piece = b""
        if not piece:
            raise LoadFailed("The server closed the connection without an answer.")
        self._received += piece
        return parse_reply(self._received, bodiless=self._bodiless)

    def ask(self, request: bytes, body: Iterable[memoryview] = ()) -> Reply:
        """Send a request with its body and wait for the answer."""
        self.send(request)
        for piece in body:
            self.send_more(piece)
        reply = None
        while reply is None:
            reply = self.receive()
        if reply.closes:
            self.reconnect()
        return reply

    def reconnect(self) -> None:
        self.socket.close()
        self.socket = self._connect()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> socket.socket:
        address = (self._endpoint.host, self._endpoint.port)
        try:
            connection = socket.create_connection(address, timeout=TIMEOUT_SECONDS)
        except OSError as error:
            raise LoadFailed(f"{address[0]}:{address[1]} refused a connection: {error}.") from None
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
