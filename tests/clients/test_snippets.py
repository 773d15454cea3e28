"""The programs of docs/clients.md, run as they stand there, with another address."""

import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.live import ROOT
from tests.proxies import Front
from tests.raw import Client, jpeg_bytes
from tests.tusjs import installed

PAGE = ROOT / "docs/clients.md"
SNIPPETS = dict(re.findall(r'```\w+ title="([^"]+)"\n(.*?)```\n', PAGE.read_text(), re.DOTALL))
SECONDS = 100.0
# Two requests of tus-java-client, two chunks of the others.
CLIP = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + jpeg_bytes(12_000_000)

JAVA = ROOT / "tests/clients/java"
JAVA_CLIENT = ("io.tus.java.client", "tus-java-client", "0.5.1")
JAVA_CLIENT_SHA256 = "196ce59aac4cca7395aca493e1740ba121ef9696232911086ac205a30948e7bb"
MAVEN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"


@pytest.fixture(scope="session")
def jar() -> Path:
    """tus-java-client from Maven Central."""
    if not (shutil.which("javac") and shutil.which("mvn")):
        pytest.skip("javac or mvn is not installed; Debian's packages are default-jdk and maven.")
    group, name, version = JAVA_CLIENT
    jar = JAVA / f"{name}-{version}.jar"
    if not jar.exists():
        wanted = [f"-Dartifact={group}:{name}:{version}", f"-DoutputDirectory={JAVA}"]
        subprocess.run(["mvn", "-q", "-B", MAVEN, *wanted], check=True, timeout=SECONDS)
    assert sha256(jar.read_bytes()).hexdigest() == JAVA_CLIENT_SHA256
    return jar


def run(front: Front, folder: Path, name: str, *command: str | Path) -> str:
    """Run a snippet beside a clip.mp4; what it prints."""
    (folder / "clip.mp4").write_bytes(CLIP)
    (folder / name).write_text(SNIPPETS[name].replace("http://127.0.0.1:1080", front.url))
    done = subprocess.run(
        [*command, name],
        cwd=folder,
        env={**os.environ, "TUSD_TOKEN": front.token()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def uploaded(front: Front, before: set[str]) -> str:
    """The id of the only upload that came since, whose bytes are those that were sent."""
    new = {name for name in front.server.files() - before if not name.endswith(".info")}
    assert len(new) == 1
    [upload] = new
    assert Client(front).download(f"/files/{upload}") == CLIP
    return upload


def medium(front: Front, upload: str) -> str:
    return Client(front).ask("HEAD", f"/files/{upload}")["upload-media-id"]


def test_every_snippet_with_a_name_is_run_here() -> None:
    untested = {"main.go"}
    assert set(SNIPPETS) - untested == {
        "send.mjs", "send.py", "send_async.py", "Send.java", "send.sh"
    }  # fmt: skip


def test_node(front: Front, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(installed() / "node_modules")
    before = front.server.files()
    said = run(front, tmp_path, "send.mjs", "node")
    assert said == medium(front, uploaded(front, before))


@pytest.mark.parametrize("name", ["send.py", "send_async.py"])
def test_python(front: Front, tmp_path: Path, name: str) -> None:
    before = front.server.files()
    said = run(front, tmp_path, name, sys.executable)
    assert said == medium(front, uploaded(front, before))


def test_java(front: Front, tmp_path: Path, jar: Path) -> None:
    before = front.server.files()
    said = run(front, tmp_path, "Send.java", "java", "-cp", jar)
    assert said == f"{front.url}/files/{uploaded(front, before)}"


def test_curl(front: Front, tmp_path: Path) -> None:
    before = front.server.files()
    said = run(front, tmp_path, "send.sh", "sh", "-e")
    assert medium(front, uploaded(front, before)) in said
