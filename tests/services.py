"""Real services for tests: each is started on a free port of its own, and ended afterwards."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
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


@contextmanager
def clamd(
    signatures: Mapping[str, bytes], *, tcp: int | None = None, **options: object
) -> Iterator[str]:
    """ClamAV's daemon that knows only these byte strings, by name; the value is its address.

    It listens on the port `tcp`, or else on a Unix socket; `options` are lines of its
    configuration, such as `StreamMaxLength="1M"`.
    """
    program = shutil.which("clamd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise ServiceMissing("clamd is not installed; Debian's package is clamav-daemon.")
    with tempfile.TemporaryDirectory(prefix="clamd-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        lines = {"Foreground": "yes", "DatabaseDirectory": folder, "TemporaryDirectory": folder}
        place = {"TCPSocket": tcp, "TCPAddr": "127.0.0.1"} if tcp else {"LocalSocket": f"{name}/s"}
        config = {**lines, **place, **options}
        (folder / "clamd.conf").write_text("".join(f"{k} {v}\n" for k, v in config.items()))
        known = "".join(f"{name}:0:*:{content.hex()}\n" for name, content in signatures.items())
        (folder / "test.ndb").write_text(known)
        server = subprocess.Popen(
            [program, "-c", str(folder / "clamd.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            here = (lambda: _accepts(tcp)) if tcp else (folder / "s").exists
            wait_until(here, "the start of clamd")
            yield f"127.0.0.1:{tcp}" if tcp else f"{name}/s"
        finally:
            server.terminate()
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
