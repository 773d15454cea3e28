"""Untrusted bytes are decoded only in here: in a child process that can do nothing else.

The child (`processing.child`) limits its own memory, processor time, files and system calls and
then decodes, or becomes ffprobe or ffmpeg. It has a session of its own and a clean environment;
this side bounds its output and its wall-clock time, and has the whole group killed at the end. Safe
to use from several threads.
"""

import contextlib
import io
import json
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Literal

from processing.nursery import Child, Nursery

MOST_OUTPUT: Final = 4 * 1024 * 1024
# 126 is our child's own; 127 is the dynamic loader's when a library is missing.
_BROKEN_INSTALLATION: Final = (126, 127)
_LOG_TAIL: Final = 2000
_NURSERY: Final = Nursery()


class SandboxFailure(Exception):
    """The child did not answer because of the bytes it was given; trying again will not help.

    `kind` is `timeout` (wall clock), `crashed` (a signal, also that of a limit) or `output`
    (more than was allowed).
    """

    def __init__(self, kind: Literal["timeout", "crashed", "output"], detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


class SandboxRefusal(Exception):
    """The child's decoder found the bytes at fault; `code` is one of `REASONS`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class SandboxBroken(RuntimeError):
    """The child could not do its work for a fault of the installation or of the machine."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ended by itself: its exit status, its output, the end of its error log."""

    status: int
    stdout: bytes
    log: str


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one child may have instead of the usual; None is the usual.

    `reads` is the one file that it may read beside programs and libraries, and `writes` the one
    that it may write, which is there already; without Landlock it may read others, and where
    seccomp is missing too, write them. `cpu_seconds` counts all its threads, `file_bytes` is its
    longest file. `nice` makes it give way to others.
    """

    reads: Path | None = None
    writes: Path | None = None
    cpu_seconds: int | None = None
    file_bytes: int | None = None
    nice: int = 0

    def document(self) -> dict[str, object]:
        """As the child reads it."""
        reads, writes = (path and str(path) for path in (self.reads, self.writes))
        return asdict(self) | {"reads": reads, "writes": writes}


USUAL: Final = Allowance()


@dataclass(frozen=True, slots=True)
class Confinement:
    """What this machine has: `seccomp` denies system calls, `landlock` all files but some."""

    seccomp: bool
    landlock: bool

    @property
    def one_file(self) -> bool:
        """Whether an Allowance of one file to write can be had."""
        return self.landlock or not self.seccomp


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Sandbox:
    """Runs one child at a time per core, each for at most `timeout_seconds` of wall clock."""

    timeout_seconds: float
    slots: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_cores()))

    def ask(
        self,
        task: str,
        most_output: int = MOST_OUTPUT,
        *,
        source: Path | None = None,
        **arguments: object,
    ) -> dict[str, Any]:
        """Let the child carry out one of its own tasks, on `source` alone; return its answer.

        Raises SandboxFailure or SandboxRefusal when the bytes are at fault, SandboxBroken or
        OSError when the machine is.
        """
        allowance = Allowance(reads=source)
        if source is not None:
            arguments["source"] = str(source)
        request = {"task": task, "arguments": arguments, "allowance": allowance.document()}
        done = self._start(request, most_output)
        if done.status != 0:
            raise SandboxBroken(f"The {task} child ended with status {done.status}: {done.log}")
        reply = json.loads(done.stdout)
        if refused := reply.get("refused"):
            raise SandboxRefusal(str(refused["code"]), str(refused["detail"]))
        answer: dict[str, Any] = reply["answer"]
        return answer

    def run(
        self,
        argv: Sequence[str],
        most_output: int = MOST_OUTPUT,
        allowance: Allowance = USUAL,
        hear: Callable[[bytes], None] | None = None,
    ) -> Finished:
        """Run a program, given by its absolute path, under the child's limits and filter.

        `hear` gets its output piece by piece, while it runs. Raises as `ask` does; an exit
        status of the program's own is the caller's to judge.
        """
        request = {"task": "exec", "argv": list(argv), "allowance": allowance.document()}
        done = self._start(request, most_output, hear)
        if done.status in _BROKEN_INSTALLATION:
            raise SandboxBroken(f"{argv[0]} cannot run (status {done.status}): {done.log}")
        return done

    def confinement(self) -> Confinement:
        """Tell what keeps children in."""
        return Confinement(**self.ask("confinement"))

    def _start(
        self,
        request: Mapping[str, object],
        most_output: int,
        hear: Callable[[bytes], None] | None = None,
    ) -> Finished:
        with (
            self.slots,
            tempfile.TemporaryFile() as log,
            _NURSERY.child(request, log) as child,
        ):
            with _deadline(child, self.timeout_seconds) as late:
                stdout = _heard(child.stdout, most_output + 1, hear)
                if len(stdout) > most_output:
                    raise SandboxFailure("output", f"more than {most_output} bytes")
                status = child.wait()
            tail = _tail(log)
        if late.is_set():
            raise SandboxFailure("timeout", f"no answer within {self.timeout_seconds} s")
        if status < 0:
            raise SandboxFailure("crashed", f"{signal.Signals(-status).name} {tail}".strip())
        return Finished(status, stdout, tail)


@contextlib.contextmanager
def _deadline(child: Child, seconds: float) -> Iterator[threading.Event]:
    """Kill the child's group after `seconds`, never once the block is left."""
    late = threading.Event()

    def end() -> None:
        late.set()
        child.kill()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()


def _heard(output: IO[bytes], most: int, hear: Callable[[bytes], None] | None) -> bytes:
    """Read until the child closes its output or has sent `most` bytes."""
    if hear is None or not isinstance(output, io.BufferedReader):
        return output.read(most)
    heard = bytearray()
    while len(heard) < most and (piece := output.read1(most - len(heard))):
        hear(piece)
        heard += piece
    return bytes(heard)


def _tail(log: IO[bytes]) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL))
    return log.read().decode("utf-8", "replace").strip()
