"""A client that does not give up: after every break it asks where it stands, and goes on."""

import base64
import hashlib
import random
import secrets
import time
import zlib
from collections.abc import Callable, Sequence

from tests.raw import OCTETS, Answer, Client, Field, Server, Wire

# What a client is meant to try again; anything else that is no success is a failure of the server.
TRY_AGAIN = (409, 423, 503)
PAUSE_SECONDS = 0.05
ANSWER_SECONDS = 15.0

DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
    "sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "sha512": lambda data: hashlib.sha512(data).digest(),
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
}


class Line(Wire):
    """A connection whose early end is a ConnectionError, as a program would see it."""

    def _more(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionResetError("The connection ended within an answer.")
        self._received += data


class Broken(Exception):
    """The server did not keep a promise; the text says which."""


class Persistent(Client):
    """One user's client; `rng` decides on sizes, pauses and mishaps of its own."""

    def __init__(self, server: Server, rng: random.Random, *, seconds: float = 120.0) -> None:
        """Whatever takes longer than `seconds` altogether is Broken."""
        super().__init__(server)
        self.rng = rng
        self.breaks = 0
        self.refusals = 0
        self.block_pause = 0.0
        self._give_up = time.monotonic() + seconds

    def wire(self, *, seconds: float = ANSWER_SECONDS) -> Line:
        return Line(self.server.host, self.server.port, seconds=seconds)

    def create_surely(self, *fields: Field, body: bytes = b"", key: bool = True) -> Answer:
        """Create until it is acknowledged; with a key all tries mean one upload."""
        if key:
            fields = (*fields, ("Idempotency-Key", secrets.token_hex(12)))
        if body:
            fields = (*fields, ("Content-Type", OCTETS))
        while True:
            answer = self._try(lambda: self.ask("POST", "/files/", *fields, body=body))
            if answer is None or self._is_later(answer):
                continue
            if answer.status != 201:
                raise Broken(f"A creation was answered {answer}.")
            return answer

    def look_surely(self, path: str) -> Answer:
        """The first answer to HEAD that is not "later"."""
        while True:
            answer = self._try(lambda: self.ask("HEAD", path))
            if answer is not None and not self._is_later(answer):
                return answer

    def append_surely(
        self,
        path: str,
        content: bytes,
        *,
        chunk: int,
        checksums: bool = False,
        tell_length: bool = False,
        may_vanish: bool = False,
        already: int = 0,
    ) -> None:
        """Send all of `content`, whatever happens on the way.

        Broken when an acknowledged byte is lost, or an offset is ahead of what was ever sent.
        `may_vanish`: a finished part is deleted as soon as the whole is joined. `already` bytes
        may have been sent before.
        """
        acknowledged, sent = 0, already
        while True:
            answer = self.look_surely(path)
            if may_vanish and sent == len(content) and answer.status == 404:
                return
            if answer.status != 200:
                raise Broken(f"HEAD {path} was answered {answer}.")
            offset = answer.offset
            if not acknowledged <= offset <= max(sent, acknowledged):
                raise Broken(f"{path} stands at {offset}; {acknowledged=} {sent=}.")
            if offset == len(content) and answer.get("upload-length") is not None:
                return
            block = content[offset : offset + self.rng.randint(chunk // 2, chunk)]
            last = offset + len(block) == len(content)
            told = (("Upload-Length", str(len(content))),) if tell_length and last else ()
            if checksums and block and self.rng.random() < 0.1:
                self._send_damaged(path, offset, block)
                continue
            sent = max(sent, offset + len(block))
            reached = self._send(path, offset, block, told, checksums=checksums)
            acknowledged = max(offset, reached or 0)

    def _send(
        self, path: str, offset: int, block: bytes, told: Sequence[Field], *, checksums: bool
    ) -> int | None:
        """One PATCH; the offset that it acknowledged, or None."""
        fields: list[Field] = list(told)
        trailer = checksums and self.rng.random() < 0.3
        if checksums:
            algorithm = self.rng.choice(tuple(DIGESTS))
            digest = base64.b64encode(DIGESTS[algorithm](block)).decode()
            checksum = ("Upload-Checksum", f"{algorithm} {digest}")
            fields.append(("Trailer", "Upload-Checksum") if trailer else checksum)
            if trailer:
                answer = self._try(
                    lambda: self._patch_chunked(path, offset, block, fields, checksum)
                )
            else:
                answer = self._try(lambda: self._patch(path, offset, block, fields))
        else:
            answer = self._try(lambda: self._patch(path, offset, block, fields))
        if answer is None or self._is_later(answer):
            return None
        if answer.status != 204 or answer.offset != offset + len(block):
            raise Broken(f"PATCH {path} of {len(block)} bytes at {offset} was answered {answer}.")
        return answer.offset

    def _send_damaged(self, path: str, offset: int, block: bytes) -> None:
        digest = base64.b64encode(DIGESTS["sha1"](block)).decode()
        damaged = bytes([block[0] ^ 0xFF]) + block[1:]
        fields = [("Upload-Checksum", f"sha1 {digest}")]
        answer = self._try(lambda: self._patch(path, offset, damaged, fields))
        if answer is not None and not self._is_later(answer) and answer.status != 460:
            raise Broken(f"A damaged body was answered {answer}.")

    def _patch(self, path: str, offset: int, block: bytes, fields: Sequence[Field]) -> Answer:
        with self.wire() as wire:
            wire.send(self.patch_head(path, offset, len(block), *fields))
            self._trickle(wire, block)
            return wire.answer()

    def _patch_chunked(
        self, path: str, offset: int, block: bytes, fields: Sequence[Field], checksum: Field
    ) -> Answer:
        head = self.head(
            "PATCH",
            path,
            ("Content-Type", OCTETS),
            ("Upload-Offset", str(offset)),
            ("Transfer-Encoding", "chunked"),
            *fields,
        )
        with self.wire() as wire:
            wire.send(head + b"%x\r\n" % len(block))
            self._trickle(wire, block)
            wire.send(b"\r\n0\r\n%s: %s\r\n\r\n" % tuple(part.encode() for part in checksum))
            return wire.answer()

    def _trickle(self, wire: Wire, block: bytes) -> None:
        middle = self.rng.randint(0, len(block))
        wire.send(block[:middle])
        if self.block_pause:
            time.sleep(self.rng.uniform(0, self.block_pause))
        if self.rng.random() < 0.02:
            wire.reset()
            raise ConnectionResetError("The client itself lost its network.")
        wire.send(block[middle:])

    def _try(self, request: Callable[[], Answer]) -> Answer | None:
        """The answer; None, after a pause, when the connection broke before there was one."""
        if time.monotonic() > self._give_up:
            raise Broken("The upload did not come to its end in time.")
        try:
            return request()
        except OSError:
            self.breaks += 1
            time.sleep(PAUSE_SECONDS)
            return None

    def _is_later(self, answer: Answer) -> bool:
        if answer.status not in TRY_AGAIN:
            return False
        self.refusals += 1
        time.sleep(PAUSE_SECONDS)
        return True


def path_of(answer: Answer) -> str:
    return "/files/" + answer["location"].rpartition("/")[2]
