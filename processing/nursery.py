"""Our end of the process that forks the sandbox's children (`processing.child.nursery`)."""

import array
import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

_CHILD: Final = str(Path(__file__).with_name("child") / "__main__.py")
_MOST_STATUS: Final = 16


class NurseryGone(OSError):
    """The process that starts children has ended; the next request starts it anew."""


class Child:
    """A running child: its standard output, and the leash by which it is held."""

    def __init__(self, leash: socket.socket, stdout: IO[bytes]) -> None:
        self.stdout = stdout
        self._leash = leash
        self._status: int | None = None

    def kill(self) -> None:
        """End the child and all its group, if they still run; the number is never another's."""
        with contextlib.suppress(OSError):
            self._leash.shutdown(socket.SHUT_WR)

    def wait(self) -> int:
        """The exit status once the child has ended and its group is killed; negative: a signal."""
        if self._status is None:
            found = b""
            while part := self._leash.recv(_MOST_STATUS):
                found += part
            if not found:
                raise NurseryGone("The process that starts children of the sandbox has ended.")
            self._status = int(found)
        return self._status

    def close(self) -> None:
        """Leave nothing of the child behind."""
        self.kill()
        with contextlib.suppress(OSError):
            self.wait()
        self._leash.close()
        self.stdout.close()


class Nursery:
    """Starts children; the process behind it is started with the first one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._of = 0

    @contextlib.contextmanager
    def child(self, request: Mapping[str, object], log: IO[bytes]) -> Iterator[Child]:
        """A child that carries out the request; dead, with its group, when the block is left."""
        leash, held = socket.socketpair()
        read, write = os.pipe()
        child = Child(leash, os.fdopen(read, "rb"))
        try:
            with held, os.fdopen(write, "wb") as output:
                files = [held.fileno(), output.fileno(), log.fileno()]
                self._send(json.dumps(request).encode(), files)
            yield child
        finally:
            child.close()

    def _send(self, text: bytes, files: list[int]) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
        with self._lock:
            control = self._running()
            try:
                control.sendmsg([len(text).to_bytes(4, "big")], rights)
                control.sendall(text)
                if control.recv(1) != b"\1":
                    raise NurseryGone("The process that starts children of the sandbox has ended.")
            except OSError:
                self._end()
                raise

    def _running(self) -> socket.socket:
        """The socket of the process, which is started when there is none of ours."""
        ended = self._process is not None and self._process.poll() is not None
        if ended or self._of != os.getpid():
            self._end()
        if self._control is None:
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-B", _CHILD],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    cwd="/",
                    env=_environment(),
                    start_new_session=True,
                )
            self._control, self._of = ours, os.getpid()
            atexit.register(self._end)
        return self._control

    def _end(self) -> None:
        atexit.unregister(self._end)
        if self._control is not None:
            self._control.close()
        if self._process is not None and self._of == os.getpid():
            self._process.wait()
        self._control = self._process = None


def _environment() -> dict[str, str]:
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        # Every arena reserves 64 MiB of address space, of which the child has 1 GiB.
        "MALLOC_ARENA_MAX": "2",
    }
    # Some platforms install ffmpeg's libraries where only this variable finds them.
    if libraries := os.environ.get("LD_LIBRARY_PATH"):
        environment["LD_LIBRARY_PATH"] = libraries
    return environment
