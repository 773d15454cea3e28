"""The real program as a process of its own, for tests that need a wire, a disk and signals."""

import itertools
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jwt

from tests.services import free_port, wait_until

ROOT = Path(__file__).parents[1]
SECRET = "a secret of the tests, 32 bytes or more"
START_SECONDS = 60.0
STOP_SECONDS = 40.0


class Process:
    """A program that serves HTTP; every process that it started ends with it."""

    def __init__(
        self, command: Iterable[str | Path], log: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        """`environ` comes on top of ours without its `TUSD_*`; what is written goes to `log`."""
        self._command = [str(part) for part in command]
        self._log = log
        inherited = {name: text for name, text in os.environ.items() if name[:5] != "TUSD_"}
        self._environ = {**inherited, "PYTHONPATH": str(ROOT), **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.host = "127.0.0.1"
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until(self._ready, "The start of the server", START_SECONDS)
        except (TimeoutError, AssertionError) as error:
            self.kill()
            raise AssertionError(f"{error}\n{self.log()}") from None
        return self

    def stop(self) -> float:
        """SIGTERM, and wait; the seconds that it took."""
        started = time.monotonic()
        os.kill(self.pid, signal.SIGTERM)
        self.wait()
        return time.monotonic() - started

    def wait(self) -> None:
        """Wait until the program and all that it started have ended by themselves."""
        assert self._process is not None
        left = {self.pid, *_descendants(self.pid)}
        try:
            self._process.wait(STOP_SECONDS)
            wait_until(lambda: not any(map(_runs, left)), "The end of the children")
        except (subprocess.TimeoutExpired, TimeoutError) as error:
            self._end(left)
            raise AssertionError(f"The server did not stop: {error}\n{self.log()}") from None

    def kill(self) -> None:
        """SIGKILL everything at once."""
        if self._process is not None and self.running:
            self._end({self.pid, *_descendants(self.pid)})

    def _end(self, pids: Iterable[int]) -> None:
        assert self._process is not None
        for pid in pids:
            if _runs(pid):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.running:
            if error is None:
                self.stop()
            else:
                self.kill()
        if error is not None:
            error.add_note(f"The server wrote:\n{self.log()[-8000:]}")

    def _ready(self) -> bool:
        assert self.running, "The server ended at its start."
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False


class Live(Process):
    """`tusd-server serve` on a free port, with settings of its own."""

    def __init__(
        self,
        data_dir: Path,
        *,
        worker: bool = False,
        environ: Mapping[str, str] | None = None,
        **settings: object,
    ) -> None:
        """`settings` are fields of Settings, such as `network_timeout_seconds=1`."""
        self.data_dir = data_dir
        chosen: dict[str, object] = {
            "auth": "jwt",
            "jwt_secret": SECRET,
            "durability": "none",
            "port": 0,
            **settings,
        }
        command = [sys.executable, "-m", "tusd_server", "serve", "--data-dir", str(data_dir)]
        command += [] if worker else ["--no-worker"]
        variables = {f"TUSD_{name.upper()}": str(value) for name, value in chosen.items()}
        super().__init__(command, _new_log(data_dir), {**variables, **(environ or {})})

    def token(self, user: str = "alice", *, hours: float = 1, **claims: object) -> str:
        return make_token(user, hours=hours, **claims)

    def supervised(self, name: str) -> int:
        """The pid of a child of `serve`: "gunicorn", or "worker"."""
        return self._wait_for(lambda: _named(_children(self.pid), name), f"a child {name}")[0]

    def web_pids(self) -> list[int]:
        """The pids of the processes which answer requests."""
        return self._wait_for(lambda: _children(self.supervised("gunicorn")), "a web process")

    def kill_child(self, pid: int) -> None:
        """SIGKILL one process of this server."""
        assert pid in _descendants(self.pid), "Only processes of this server may be killed."
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not _runs(pid), "The end of the killed process")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the web processes from doing anything, and let them go on behind it."""
        pids = self.web_pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def files(self) -> set[str]:
        """The names of everything that uploads left in the data directory."""
        return {path.name for path in self.data_dir.iterdir()} - {".tusd-server", "uploads"}

    def _ready(self) -> bool:
        assert self.running, "The server ended at its start."
        found = re.search(r"Listening on http://([0-9.]+):(\d+) ", self.log())
        if found is None:
            return False
        self.host, self.port = found[1], int(found[2])
        return super()._ready()

    def _wait_for(self, find: Any, what: str) -> list[int]:
        wait_until(find, f"The appearance of {what}")
        found: list[int] = find()
        return found


class Gunicorn(Process):
    """The application under a gunicorn of somebody else's making: `gunicorn -k <kind> ...`."""

    def __init__(self, kind: str, data_dir: Path, *arguments: str) -> None:
        """`kind` is a worker class of gunicorn."""
        self.data_dir = data_dir
        port = free_port()
        command = [sys.executable, "-m", "gunicorn", "-k", kind, "-b", f"127.0.0.1:{port}"]
        command += ["--no-control-socket", *arguments, "tusd_server:create_app()"]
        environ = {"TUSD_DATA_DIR": str(data_dir), "TUSD_JWT_SECRET": SECRET}
        super().__init__(command, _new_log(data_dir), environ)
        self.port = port

    def token(self, user: str = "alice") -> str:
        return make_token(user)


def make_token(user: str = "alice", *, hours: float = 1, **claims: object) -> str:
    """A token as another program would make it: `sub` and `exp`, signed with the secret."""
    expires = datetime.now(UTC) + timedelta(hours=hours)
    return jwt.encode({"sub": user, "exp": expires, **claims}, SECRET, algorithm="HS256")


def _new_log(data_dir: Path) -> Path:
    """A file beside the data directory for one server's words; there may be others' already."""
    names = (data_dir.with_name(f"{data_dir.name}.{number}.log") for number in itertools.count())
    return next(path for path in names if not path.exists())


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, tasks.read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return [child for child in found if _runs(child)]


def _descendants(pid: int) -> list[int]:
    children = _children(pid)
    return children + [found for child in children for found in _descendants(child)]


def _named(pids: Iterable[int], name: str) -> list[int]:
    return [pid for pid in pids if name in _command_line(pid)]


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
