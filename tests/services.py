"""Real services for tests: each is started on a free port of its own, and ended afterwards."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 30.0


class ServiceMissing(Exception):
    """The program is not installed; the message says which package has it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], object], what: str, seconds: float = START_SECONDS) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s.")
        time.sleep(0.02)


@contextmanager
def redis_server(port: int | None = None) -> Iterator[str]:
    """A redis-server without persistence; the value is its URL."""
    program = shutil.which("redis-server")
    if program is None:
        raise ServiceMissing("redis-server is not installed; Debian's package is redis-server.")
    port = port or free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([*command, "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: _accepts(port), "the start of redis-server")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()
            server.wait()


@contextmanager
def postgres_server() -> Iterator[str]:
    """A PostgreSQL in a temporary folder; the value is the URL of its empty database `postgres`."""
    programs = _postgres_programs()
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        unprivileged = _as_nobody(Path(folder))
        initdb = [str(programs / "initdb"), "-D", str(data), "-U", "tusd", "-A", "trust", "-N"]
        subprocess.run([*unprivileged, *initdb], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        options = ["-p", str(port), "-h", "127.0.0.1", "-k", "", "-F"]
        with (Path(folder) / "log").open("wb") as log:
            server = subprocess.Popen(
                [*unprivileged, str(programs / "postgres"), "-D", str(data), *options],
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        try:
            ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            wait_until(
                lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL's start"
            )
            yield f"postgresql+psycopg://tusd@127.0.0.1:{port}/postgres"
        finally:
            # SIGINT is PostgreSQL's fast shutdown; SIGKILL would leave its children behind.
            server.send_signal(2)
            server.wait(timeout=START_SECONDS)


def _postgres_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        raise ServiceMissing("PostgreSQL is not installed; Debian's package is postgresql.")
    return found[-1].parent if found else Path(str(on_path)).parent


def _as_nobody(folder: Path) -> list[str]:
    # PostgreSQL refuses to run as root.
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "nobody")
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex(("127.0.0.1", port)) == 0
