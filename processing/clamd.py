"""A client of ClamAV's daemon: one file goes out as a stream, one verdict comes back.

The daemon is given bytes and no path, so it may run as another user or on another machine.
"""

import contextlib
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from processing.patience import NotNow

CHUNK_BYTES: Final = 256 * 1024
MOST_ANSWER: Final = 4096
# ClamAV's names for files that it gave up on because of a limit of its own.
_LIMITS_EXCEEDED: Final = "Heuristics.Limits.Exceeded"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the daemon says of a file; `signature` is the name of what it found, else empty."""

    kind: Literal["clean", "infected", "too_large"]
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the daemon listens: the path of a Unix socket, or host and port."""

    path: str | None = None
    host: str = ""
    port: int = 0

    @classmethod
    def from_text(cls, text: str) -> "Address":
        """Read `/run/clamav/clamd.ctl`, `127.0.0.1:3310` or `[::1]:3310`; ValueError otherwise."""
        if text.startswith("/"):
            return cls(path=text)
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
            raise ValueError("host:port, such as 127.0.0.1:3310, or the path of a Unix socket")
        return cls(host=host, port=int(port))

    def __str__(self) -> str:
        """The address as it is written in the setting."""
        if self.path is not None:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Clamd:
    """The daemon at `address`; one connection for each question, safe to use from many threads.

    The times are seconds of silence. `answer_seconds` is longer than the 120 s that the daemon
    gives itself for a file (`MaxScanTime`).
    """

    address: Address
    connect_seconds: float = 5.0
    send_seconds: float = 30.0
    answer_seconds: float = 180.0

    def scan(self, source: Path) -> Verdict:
        """Let the daemon judge all bytes of a file.

        NotNow when it cannot be reached, breaks off, is silent for too long or reports an error
        of its own; OSError when the file cannot be read.
        """
        with source.open("rb") as file, self._asking(b"zINSTREAM\0") as line:
            while chunk := file.read(CHUNK_BYTES):
                if not line.takes(len(chunk).to_bytes(4, "big") + chunk):
                    break
            else:
                line.takes(bytes(4))
            return _verdict(line.answer(self.answer_seconds))

    def version(self) -> str:
        """The daemon's own words about itself and its signatures; NotNow as in `scan`."""
        with self._asking(b"zVERSION\0") as line:
            return line.answer(self.connect_seconds)

    @contextlib.contextmanager
    def _asking(self, command: bytes) -> Iterator["_Line"]:
        with _away_is_not_now():
            connection = self._connect()
        with connection:
            connection.settimeout(self.send_seconds)
            line = _Line(connection)
            line.takes(command)
            yield line

    def _connect(self) -> socket.socket:
        if self.address.path is None:
            place = (self.address.host, self.address.port)
            return socket.create_connection(place, self.connect_seconds)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.connect_seconds)
            connection.connect(self.address.path)
        except BaseException:
            connection.close()
            raise
        return connection


@dataclass(frozen=True, slots=True)
class _Line:
    connection: socket.socket

    def takes(self, data: bytes) -> bool:
        """Send all of it; False when the daemon has answered already, or hung up."""
        with _away_is_not_now():
            if select.select([self.connection], [], [], 0)[0]:
                return False
            try:
                self.connection.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                # What it said before it hung up can still be read.
                return False
        return True

    def answer(self, seconds: float) -> str:
        """The one line, without the NUL that ends it."""
        found = b""
        with _away_is_not_now():
            self.connection.settimeout(seconds)
            while b"\0" not in found and len(found) < MOST_ANSWER:
                part = self.connection.recv(MOST_ANSWER)
                if not part:
                    break
                found += part
        return found.partition(b"\0")[0].decode("utf-8", "replace").strip()


@contextlib.contextmanager
def _away_is_not_now() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotNow(f"The virus scanner cannot be asked: {error}.") from error


def _verdict(answer: str) -> Verdict:
    if "size limit exceeded" in answer:
        return Verdict("too_large")
    said = answer.removeprefix("stream: ")
    if said == "OK":
        return Verdict("clean")
    if said.endswith(" FOUND"):
        signature = said.removesuffix(" FOUND")
        if signature.startswith(_LIMITS_EXCEEDED):
            return Verdict("too_large", signature)
        return Verdict("infected", signature)
    raise NotNow(f"The virus scanner gave no verdict but {answer[:200]!r}.")
