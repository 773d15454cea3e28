"""docs/start.md and the README, typed in as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import ROOT, SECRET, Live
from tests.media import make_jpeg
from tests.pages import snippet, snippets


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the page's commands print, from the first to the last."""
    folder = tmp_path_factory.mktemp("start")
    with Live(folder / "data", worker=True) as server:
        return typed("\n".join(snippets("start.md", "sh")), folder, server)


def typed(commands: str, folder: Path, server: Live) -> str:
    """What commands print that are typed in where the server was started."""
    script = commands.replace(".venv/bin/tusd-server", f"{sys.executable} -m tusd_server")
    script = script.replace("http://127.0.0.1:1080", server.url)
    done = subprocess.run(
        ["bash", "-u"],
        input=script.encode(),
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "TUSD_JWT_SECRET": SECRET,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode()


def test_the_files_get_their_records_and_thumbnails(said: str) -> None:
    photo, clip = said.index("photo.jpg: registered"), said.index("clip.mp4: registered")
    assert "thumbnail  640 x 480" in said[photo:]
    assert "thumbnail  640 x 360" in said[clip:]


def test_one_request_makes_a_medium(said: str) -> None:
    assert "HTTP/1.1 201 CREATED" in said
    assert '"status": "registered"' in said


def test_what_the_network_cut_is_finished(said: str) -> None:
    assert "curl: (28) Operation timed out" in said
    (there,) = re.findall(r"^(\d+) bytes are there\.$", said, re.MULTILINE)
    length = re.findall(r"^Upload-Offset: (\d+)\s*$", said, re.MULTILINE)[-1]
    assert 0 < int(there) < int(length)


def test_the_publication_deletes_the_files_of_its_post_alone(said: str) -> None:
    listed = said[said.rindex("ID    ") :]
    assert [line.split()[1] for line in listed.splitlines()[1:]].count("deleted") == 3
    assert "ready" in listed or "received" in listed or "processing" in listed


def test_the_request_of_the_readme(tmp_path: Path) -> None:
    make_jpeg(tmp_path / "photo.jpg")
    with Live(tmp_path / "data", worker=True) as server:
        answer = typed(snippet("README.md", "sh", "curl -i"), tmp_path, server)
    assert "HTTP/1.1 201 CREATED" in answer
    assert "Upload-Media-Id: " in answer
