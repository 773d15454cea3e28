"""HTTP by hand: exactly these bytes go out, exactly one answer comes in."""

import base64
import fcntl
import json
import random
import re
import socket
import struct
import termios
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

ANSWER_SECONDS = 20.0
OCTETS = "application/offset+octet-stream"
JPEG_HEAD = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"

Field = tuple[str, str]


class Server(Protocol):
    """Where to send to, and who may."""

    host: str
    port: int

    def token(self, user: str = ...) -> str: ...


@dataclass(frozen=True)
class Answer:
    """One response; `fields` in the order of the wire, names in lower case."""

    status: int
    fields: tuple[Field, ...]
    body: bytes

    def __getitem__(self, name: str) -> str:
        found = [value for key, value in self.fields if key == name.lower()]
        assert len(found) == 1, f"{name} is there {len(found)} times in {self}."
        return found[0]

    def get(self, name: str) -> str | None:
        return dict(self.fields).get(name.lower())

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def offset(self) -> int:
        return int(self["upload-offset"])

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One TCP connection to a server."""

    def __init__(self, host: str, port: int, *, seconds: float = ANSWER_SECONDS) -> None:
        """No single read or write may take longer than `seconds`."""
        self.socket = socket.create_connection((host, port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_until_refused(self, blocks: Iterable[bytes]) -> int:
        """Send until the server closes the connection, or all is out; the bytes that went."""
        sent = 0
        try:
            for block in blocks:
                self.socket.sendall(block)
                sent += len(block)
        except OSError:
            pass
        return sent

    def trickle(self, data: bytes, pause: float) -> None:
        """Send byte by byte; ends early and quietly when the server closes the connection."""
        try:
            for at in range(len(data)):
                self.socket.sendall(data[at : at + 1])
                time.sleep(pause)
        except OSError:
            pass

    def answer(self, *, bodiless: bool = False) -> Answer:
        """Read the next response, a 100 too; `bodiless` for an answer to HEAD."""
        head = self._until(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = re.fullmatch(r"HTTP/1\.1 (\d{3}) .+", lines[0])
        assert status is not None, f"This is no status line: {lines[0]!r}."
        parts = (line.partition(":") for line in lines[1:-2])
        fields = tuple((name.lower(), value.strip()) for name, _, value in parts)
        code = int(status[1])
        if bodiless or code < 200 or code in (204, 304):
            return Answer(code, fields, b"")
        return Answer(code, fields, self._body(dict(fields)))

    def half_close(self) -> None:
        """FIN: nothing more will be sent; answers can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def flush(self) -> None:
        """Wait until the other machine has acknowledged all that was sent."""
        give_up = time.monotonic() + ANSWER_SECONDS
        while struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0" * 4))[0]:
            assert time.monotonic() < give_up, "The server does not read what was sent."
            time.sleep(0.002)

    def reset(self) -> None:
        """RST: vanish without a goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def ended(self, seconds: float = ANSWER_SECONDS) -> bool:
        """Whether the server ends the connection within this time, without another byte."""
        self.socket.settimeout(seconds)
        try:
            return not self._received and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def silent(self, seconds: float) -> bool:
        """Whether no byte and no end comes within this time."""
        self.socket.settimeout(seconds)
        try:
            self._received += self.socket.recv(65_536)
        except TimeoutError:
            return not self._received
        finally:
            self.socket.settimeout(ANSWER_SECONDS)
        return False

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _body(self, fields: dict[str, str]) -> bytes:
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self._until(b"\r\n"), 16):
                body += self._exactly(size)
                self._until(b"\r\n")
            self._until(b"\r\n")
            return body
        return self._exactly(int(fields["content-length"]))

    def _until(self, mark: bytes) -> bytes:
        while (at := self._received.find(mark)) < 0:
            self._more()
        return self._take(at + len(mark))

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        return self._take(size)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _more(self) -> None:
        data = self.socket.recv(65_536)
        assert data, f"The connection ended within an answer, after {bytes(self._received)!r}."
        self._received += data


class Client:
    """A user who speaks tus by hand, one connection for each request."""

    def __init__(self, server: Server, user: str = "alice") -> None:
        """Nothing is sent yet."""
        self.server = server
        self.token = server.token(user)

    def wire(self, *, seconds: float = ANSWER_SECONDS) -> Wire:
        return Wire(self.server.host, self.server.port, seconds=seconds)

    def head(self, method: str, target: str, *fields: Field, tus: bool = True) -> bytes:
        """A request's head with Host, token and version; `fields` come last and may repeat."""
        usual = [
            ("Host", f"{self.server.host}:{self.server.port}"),
            ("Authorization", f"Bearer {self.token}"),
        ]
        if tus:
            usual.append(("Tus-Resumable", "1.0.0"))
        return request_head(method, target, [*usual, *fields])

    def patch_head(self, path: str, offset: int, length: int, *fields: Field) -> bytes:
        return self.head(
            "PATCH",
            path,
            ("Content-Type", OCTETS),
            ("Upload-Offset", str(offset)),
            ("Content-Length", str(length)),
            *fields,
        )

    def ask(self, method: str, target: str, *fields: Field, body: bytes = b"") -> Answer:
        """One request on a connection of its own, and its answer."""
        if body:
            fields = (*fields, ("Content-Length", str(len(body))))
        with self.wire() as wire:
            wire.send(self.head(method, target, *fields) + body)
            return wire.answer(bodiless=method == "HEAD")

    def create(self, length: int, **metadata: str) -> str:
        """Create an upload; its path."""
        fields = [("Upload-Length", str(length))]
        if metadata:
            fields.append(("Upload-Metadata", metadata_header(**metadata)))
        answer = self.ask("POST", "/files/", *fields)
        assert answer.status == 201, answer
        return "/files/" + answer["location"].rpartition("/")[2]

    def patch(self, path: str, offset: int, body: bytes) -> Answer:
        with self.wire() as wire:
            wire.send(self.patch_head(path, offset, len(body)) + body)
            return wire.answer()

    def offset(self, path: str) -> int:
        answer = self.ask("HEAD", path)
        assert answer.status == 200, answer
        return answer.offset

    def download(self, path: str) -> bytes:
        """The bytes of a finished upload."""
        answer = self.ask("GET", path)
        assert answer.status == 200, answer
        return answer.body


def request_head(method: str, target: str, fields: Sequence[Field]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def metadata_header(**values: str) -> str:
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items()
    )


def jpeg_bytes(size: int, seed: int = 0) -> bytes:
    """Bytes that begin as a JPEG does and are noise behind that: fit to upload, not to look at."""
    return (JPEG_HEAD + random.Random(seed).randbytes(max(0, size - len(JPEG_HEAD))))[:size]


def chunked(*blocks: bytes, end: bool = True) -> bytes:
    """The blocks in HTTP/1.1's chunked coding."""
    coded = b"".join(b"%x\r\n%s\r\n" % (len(block), block) for block in blocks)
    return coded + (b"0\r\n\r\n" if end else b"")


def eventually(value: Callable[[], object], wanted: object, seconds: float = 10.0) -> None:
    """Assert that `value` becomes what is wanted in time."""
    give_up = time.monotonic() + seconds
    while (got := value()) != wanted and time.monotonic() < give_up:
        time.sleep(0.02)
    assert got == wanted
