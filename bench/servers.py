"""The servers of a run: ours and the peers, each started afresh for every load, or attached."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench import install
from bench.body import GIB
from bench.procfs import memory_kind, tree
from bench.target import Target
from bench.wire import Endpoint, Line, LoadFailed

ROOT = Path(__file__).parent.parent
OURS = "ours"

_READY_WITHIN_SECONDS = 60
_STOP_WITHIN_SECONDS = 15


class Server(Protocol):
    """Something to measure."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """What to print under the table."""
        ...

    def running(self, directory: Path) -> AbstractContextManager[Target]:
        """A context in which the server runs with its data in `directory`."""
        ...


@dataclass(frozen=True)
class Started:
    """A server that the bench starts for each load and ends after it.

    `{port}` and `{directory}` in the command are filled in.
    """

    name: str
    version: str
    command: Sequence[str]
    ready_path: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def running(self, directory: Path) -> Iterator[Target]:
        port = _free_port()
        data = directory / "data"
        data.mkdir()
        command = [word.format(port=port, directory=data) for word in self.command]
        with (directory / "server.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=_environment(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._await_ready(process, port, Path(log.name))
            pids = (process.pid,)
            endpoint = Endpoint("127.0.0.1", port, "/files/")
            yield Target(self.name, endpoint, pids, memory_kind(pids), directory)
        finally:
            _stop(process)

    def _await_ready(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        deadline = time.monotonic() + _READY_WITHIN_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if _answers(Endpoint("127.0.0.1", port, self.ready_path)):
                return
            time.sleep(0.1)
        said = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        raise LoadFailed(f"{self.name} did not start: {said[-1]}")


@dataclass(frozen=True)
class Attached:
    """A server that somebody else runs; its data stays where it is put."""

    name: str
    endpoint: Endpoint
    pids: tuple[int, ...]
    version: str = "started elsewhere"

    @classmethod
    def from_text(cls, text: str) -> "Attached":
        """Read NAME=URL,PID[,PID...]; ValueError says in a sentence what is wrong."""
        name, equals, rest = text.partition("=")
        url, *numbers = rest.split(",")
        if not name or not equals or not numbers or not all(map(str.isdecimal, numbers)):
            raise ValueError(f"{text} should look like NAME=http://host:port/files/,PID[,PID...].")
        return cls(name, Endpoint.from_url(url), tuple(map(int, numbers)))

    @contextmanager
    def running(self, directory: Path) -> Iterator[Target]:
        gone = set(self.pids) - tree(self.pids)
        if gone:
            raise LoadFailed(f"{self.name} has no process {min(gone)}.")
        kind = memory_kind(self.pids)
        yield Target(self.name, self.endpoint, self.pids, kind, directory, keeps_data=True)


def ours(workers: int, durability: str) -> Started:
    """This repository's server, without authentication and without the processing worker."""
    command = [sys.executable, "-m", "tusd_server", "serve", "--host", "127.0.0.1"]
    command += ["--port", "{port}", "--data-dir", "{directory}", "--auth", "off", "--no-worker"]
    environment = {
        "TUSD_DURABILITY": durability,
        "TUSD_LOG_LEVEL": "warning",
        # The bulk file is larger than the largest upload by default.
        "TUSD_MAX_SIZE": str(GIB),
    }
    version = f"{_output('git', 'describe', '--always', '--dirty')}, {workers} worker(s)"
    return Started(OURS, version, [*command, "--workers", str(workers)], "/healthz", environment)


def tus_node() -> Started:
    """@tus/server, one process; PeerMissing when it cannot be installed."""
    script = install.tus_node()
    version = f"{', '.join(install.TUS_NODE)}, node {_output('node', '--version')}"
    command = ["node", str(script), "{port}", "{directory}"]
    return Started("@tus/server", version, command, "/files/", {"NODE_ENV": "production"})


def tuspyserver() -> Started:
    """tuspyserver under one uvicorn process; PeerMissing when it cannot be installed."""
    packages = install.tuspyserver()
    script = install.HERE / "peers" / "tuspyserver_app.py"
    command = [sys.executable, str(script), "{port}", "{directory}"]
    version = ", ".join(install.TUSPYSERVER)
    return Started("tuspyserver", version, command, "/files/", {"PYTHONPATH": str(packages)})


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    # The caller's own settings would make two runs of the bench differ.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TUSD_")}
    return kept | dict(extra)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _answers(endpoint: Endpoint) -> bool:
    method = "GET" if endpoint.path == "/healthz" else "OPTIONS"
    request = f"{method} {endpoint.path} HTTP/1.1\r\nHost: {endpoint.host}\r\n"
    try:
        with Line(endpoint) as line:
            reply = line.ask(f"{request}Tus-Resumable: 1.0.0\r\n\r\n".encode())
    except LoadFailed:
        return False
    return 200 <= reply.status < 300


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.terminate()
        process.wait(_STOP_WITHIN_SECONDS)
    # The session is ours alone: it was begun with the process.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown version"
    return done.stdout.strip()
