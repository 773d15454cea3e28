"""Puts the peers' packages into bench/.peers once, at pinned versions."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
PEERS = HERE / ".peers"
TUS_NODE = ("@tus/server@2.4.5", "@tus/file-store@2.1.1")
TUSPYSERVER = (
    "tuspyserver==4.4.3",
    "fastapi==0.165.0",
    "starlette==1.10.0",
    "uvicorn==0.54.0",
    "uvloop==0.23.0",
    "httptools==0.9.0",
)
_INSTALL_WITHIN_SECONDS = 300


class PeerMissing(Exception):
    """A peer cannot be had on this machine; the text is one sentence."""


def tus_node() -> Path:
    """The start script of @tus/server, beside its installed packages."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise PeerMissing("@tus/server is left out: node and npm are not both installed.")
    home = PEERS / "tus-node"
    quiet = ("--no-audit", "--no-fund", "--loglevel=error")
    _install("@tus/server", home, TUS_NODE, ["npm", "install", "--prefix", str(home), *quiet])
    # Node looks for packages beside the script itself.
    script = home / "tus_node.mjs"
    shutil.copyfile(HERE / "peers" / script.name, script)
    return script


def tuspyserver() -> Path:
    """The directory for PYTHONPATH that holds tuspyserver, FastAPI and uvicorn."""
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    home = PEERS / f"tuspyserver-{python}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _install("tuspyserver", home, TUSPYSERVER, [*pip, "--target", str(home)])
    return home


def _install(name: str, home: Path, pins: Sequence[str], command: Sequence[str]) -> None:
    mark = home / "installed.txt"
    wanted = "\n".join(pins)
    if mark.exists() and mark.read_text() == wanted:
        return
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    try:
        subprocess.run(
            [*command, *pins],
            check=True,
            capture_output=True,
            text=True,
            timeout=_INSTALL_WITHIN_SECONDS,
        )
    except subprocess.TimeoutExpired:
        late = f"its installation took longer than {_INSTALL_WITHIN_SECONDS} s"
        raise PeerMissing(f"{name} is left out: {late}.") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["no reason was given"])[-1]
        raise PeerMissing(f"{name} is left out, it could not be installed: {said}") from None
    mark.write_text(wanted)
