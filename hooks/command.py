"""Hooks as programs in a folder, as tusd runs them: named for the event, its JSON on stdin."""

import json
import logging
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from hooks.events import HookName
from hooks.transport import MOST_REPLY_BYTES, Call, Failed, shown

logger = logging.getLogger(__name__)

MOST_LINE_BYTES = 1000
PIECE_BYTES = 8192
# Beyond the deadline, for what lies in the pipes when the program is killed.
LAST_WORDS_SECONDS = 0.2


class Commands:
    """The programs of one folder; see hooks.transport.Transport.

    A program gets the event's JSON on stdin and `TUS_ID`, `TUS_SIZE` and `TUS_OFFSET` in its
    environment. What it writes to stdout is the reply, what it writes to stderr goes to the log.
    """

    name = "command"

    def __init__(
        self,
        folder: Path,
        *,
        enabled: Sequence[HookName],
        timeout_seconds: float,
        environ: Mapping[str, str],
    ) -> None:
        """`environ` is what the programs inherit. Programs may come and go at any time."""
        self._folder = folder.absolute()
        self._enabled = frozenset(enabled)
        self._timeout_seconds = timeout_seconds
        self._environ = dict(environ)

    def takes(self, name: HookName) -> bool:
        """Those that are enabled and have a program."""
        return name in self._enabled and (self._folder / name).is_file()

    def ask(self, call: Call) -> bytes:
        """What the program writes; every exit status but 0 is a failure, as in tusd.

        A program is run once: what it did before it failed, it would do again.
        """
        give_up_at = time.monotonic() + self._timeout_seconds
        with tempfile.TemporaryFile() as stdin:
            stdin.write(json.dumps(call.document, separators=(",", ":")).encode())
            stdin.seek(0)
            process = self._start(call, stdin)
            with process:
                return self._reply(process, call, give_up_at)

    def deliver(self, call: Call) -> None:
        """See Transport."""
        self.ask(call)

    def _start(self, call: Call, stdin: IO[bytes]) -> "subprocess.Popen[bytes]":
        told = {
            "TUS_ID": str(call.upload["ID"]),
            "TUS_SIZE": str(call.upload["Size"]),
            "TUS_OFFSET": str(call.upload["Offset"]),
        }
        try:
            return subprocess.Popen(
                [str(self._folder / call.name)],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._folder,
                env={**self._environ, **told},
                start_new_session=True,
            )
        except OSError as error:
            raise Failed(f"The program {call.name} cannot be run: {error.strerror}.") from error

    def _reply(self, process: "subprocess.Popen[bytes]", call: Call, give_up_at: float) -> bytes:
        output = _Output(process, call, give_up_at)
        try:
            status = process.wait(_left(give_up_at))
        except subprocess.TimeoutExpired:
            _kill(process)
            raise Failed(
                f"The program {call.name} did not end in {self._timeout_seconds:g} s."
            ) from None
        finally:
            output.end()
        return _checked(call, status, output.reply)


class _Output:
    """What a program writes, read while it runs."""

    def __init__(self, process: "subprocess.Popen[bytes]", call: Call, give_up_at: float) -> None:
        self.reply = b""
        self._process = process
        self._call = call
        self._give_up_at = give_up_at
        self._readers = [
            threading.Thread(target=read, daemon=True, name="hook's output")
            for read in (self._read_reply, self._log)
        ]
        for reader in self._readers:
            reader.start()

    def end(self) -> None:
        """Return when all is read; what the program left running may write until the deadline."""
        for reader in self._readers:
            reader.join(_left(self._give_up_at))
        if any(reader.is_alive() for reader in self._readers):
            _kill(self._process)
        for reader in self._readers:
            reader.join()

    def _read_reply(self) -> None:
        for piece in self._pieces(self._process.stdout):
            self.reply += piece
            if len(self.reply) > MOST_REPLY_BYTES:
                _kill(self._process)
                return

    def _log(self) -> None:
        upload = self._call.upload["ID"] or "(new)"
        for line in _lines(self._pieces(self._process.stderr)):
            text = line.decode("utf-8", "replace").rstrip()
            logger.info("hook %s, upload %s: %s", self._call.name, upload, text)

    def _pieces(self, stream: IO[bytes] | None) -> Iterator[bytes]:
        """What comes until the deadline.

        The end of the program's group is no end of its output: a daemon that it started in a
        session of its own may hold that open for ever.
        """
        if stream is None:
            return
        readable = select.poll()
        readable.register(stream, select.POLLIN)
        until = self._give_up_at + LAST_WORDS_SECONDS
        while (left := _left(until)) and readable.poll(left * 1000):
            piece = os.read(stream.fileno(), PIECE_BYTES)
            if not piece:
                return
            yield piece


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The lines; a long one comes in parts."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield from _parts(line)
        while len(rest) >= MOST_LINE_BYTES:
            yield rest[:MOST_LINE_BYTES]
            rest = rest[MOST_LINE_BYTES:]
    if rest:
        yield rest


def _parts(line: bytes) -> Iterator[bytes]:
    for start in range(0, len(line) or 1, MOST_LINE_BYTES):
        yield line[start : start + MOST_LINE_BYTES]


def _left(give_up_at: float) -> float:
    return max(0.0, give_up_at - time.monotonic())


def _checked(call: Call, status: int, reply: bytes) -> bytes:
    if len(reply) > MOST_REPLY_BYTES:
        raise Failed(f"The program {call.name} wrote more than {MOST_REPLY_BYTES} bytes.")
    if status:
        raise Failed(f"The program {call.name} ended with {status}: {shown(reply)}.")
    return reply


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End the program and whatever it started, as far as that stayed in its group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # all of them have ended
        return
