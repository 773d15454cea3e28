"""Hooks as programs in a folder, as tusd runs them: named for the event, its JSON on stdin."""

import io
import json
import logging
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from hooks.events import HookName
from hooks.transport import MOST_REPLY_BYTES, Call, Failed, shown

logger = logging.getLogger(__name__)

MOST_LINE_CHARACTERS = 1000


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
        output = _Output(process, call)
        try:
            status = process.wait(_left(give_up_at))
        except subprocess.TimeoutExpired:
            _kill(process)
            raise Failed(
                f"The program {call.name} did not end in {self._timeout_seconds:g} s."
            ) from None
        finally:
            output.end(give_up_at)
        return _checked(call, status, output.reply)


class _Output:
    """What a program writes, read while it runs."""

    def __init__(self, process: "subprocess.Popen[bytes]", call: Call) -> None:
        self.reply = b""
        self._process = process
        self._call = call
        self._readers = [
            threading.Thread(target=read, daemon=True, name="hook's output")
            for read in (self._read_reply, self._log)
        ]
        for reader in self._readers:
            reader.start()

    def end(self, give_up_at: float) -> None:
        """Return when all is read; what the program left running may write until then."""
        for reader in self._readers:
            reader.join(_left(give_up_at))
        if any(reader.is_alive() for reader in self._readers):
            _kill(self._process)
        for reader in self._readers:
            reader.join()

    def _read_reply(self) -> None:
        if self._process.stdout is not None:
            self.reply = self._process.stdout.read(MOST_REPLY_BYTES + 1)
        if len(self.reply) > MOST_REPLY_BYTES:
            _kill(self._process)

    def _log(self) -> None:
        lines = self._process.stderr or io.BytesIO()
        upload = self._call.upload["ID"] or "(new)"
        while line := lines.readline(MOST_LINE_CHARACTERS):
            text = line.decode("utf-8", "replace").rstrip()
            logger.info("hook %s, upload %s: %s", self._call.name, upload, text)


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
