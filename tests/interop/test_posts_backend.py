"""The posts backend of examples/, a process of its own: told once of each medium, whoever dies."""

import contextlib
import json
import random
import socket
import sqlite3
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import media
from tests.conftest import Start
from tests.interop.test_journeys import document, fetch, medium_of, push
from tests.live import Live, Process
from tests.raw import Client
from tests.services import free_port, wait_until
from tests.shell import Cli, cli

__all__ = ["cli"]

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PATIENCE_SECONDS = 60.0


class Backend(Process):
    """The example, on a port and with a database that it keeps when it is started again."""

    def __init__(self, folder: Path, tusd_port: int) -> None:
        folder.mkdir()
        self.folder, self.tusd_port = folder, tusd_port
        port = free_port()
        command = [sys.executable, "-m", "tests.mortal_backend", folder, "--port", str(port)]
        command += ["--database", folder / "posts.db", "--tusd", f"http://127.0.0.1:{tusd_port}"]
        super().__init__(command, folder / "log", {"POSTS_SECRET": SECRET})
        self.port = port

    def ask(self, method: str, path: str, document: object = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if document is None else json.dumps(document).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def new_post(self) -> str:
        post_id: str = self.ask("POST", "/posts", {"title": "A title"})["id"]
        return post_id

    def rows(self, table: str = "media") -> list[dict[str, Any]]:
        """What is committed."""
        with contextlib.closing(sqlite3.connect(self.folder / "posts.db", timeout=30)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(f"SELECT * FROM {table}")]

    def write(self, statement: str) -> None:
        with contextlib.closing(sqlite3.connect(self.folder / "posts.db", timeout=30)) as database:
            database.execute(statement)
            database.commit()

    def flag(self, name: str) -> Path:
        """A file that tests.mortal_backend knows."""
        return self.folder / name

    def _ready(self) -> bool:
        assert self.running, "The backend ended at its start."
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    """Started; its server must take `backend.tusd_port`."""
    with Backend(tmp_path / "backend", tusd_port=free_port()) as backend:
        yield backend


@pytest.fixture
def tusd(start_server: Start, backend: Backend) -> Live:
    return start_server(
        worker=True,
        workers=1,
        port=backend.tusd_port,
        public_url=f"http://127.0.0.1:{backend.tusd_port}",
        posts_url=f"{backend.url}/media",
        posts_secret=SECRET,
        job_lease_seconds=1,
        # Deaths are counted, and the storm brings more than a file that kills its worker may.
        job_attempts=100,
    )


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return media.make_png(tmp_path / "a.png", 200, 150)


def until(client: Client, upload: str, *states: str) -> dict[str, Any]:
    """The medium once it is in one of these states."""
    found: dict[str, Any] = medium_of(client, upload)

    def arrived() -> bool:
        nonlocal found
        found = document(client, found["id"])
        return found["status"] in states

    wait_until(arrived, f"A state of {states}", PATIENCE_SECONDS)
    return found


def files_of(tusd: Live) -> list[Path]:
    return [path for path in (tusd.data_dir / "uploads").rglob("*") if path.is_file()]


def test_from_the_upload_to_the_publication(tusd: Live, backend: Backend, picture: Path) -> None:
    client, post = Client(tusd), backend.new_post()
    medium = until(client, push(tusd, picture, post_id=post), "registered", "failed")
    assert medium["status"] == "registered", medium["reasons"]

    (row,) = backend.rows()
    assert (row["message_id"], row["post_id"]) == (medium["id"], post)
    assert (row["sha256"], row["file_name"]) == (medium["sha256"], "a.png")
    assert backend_id(tusd, medium) == row["id"]
    assert fetch(row["url"]).body == picture.read_bytes()
    assert files_of(tusd)

    assert backend.ask("POST", f"/posts/{post}/publish")["published_at"]
    wait_until(lambda: not backend.rows("outbox"), "The call to tusd-server")
    assert document(client, medium["id"])["status"] == "deleted"
    assert files_of(tusd) == []


def test_a_refused_medium_is_kept_shown_and_told_again_by_command(
    tusd: Live, backend: Backend, picture: Path, cli: Cli
) -> None:
    client = Client(tusd)
    upload = push(tusd, picture, post_id="forgotten")
    medium = until(client, upload, "registered", "failed")
    assert medium["status"] == "failed"
    assert medium["reasons"] == [
        {
            "code": "refused_by_backend",
            "message": "There is no such post; create it before its media are uploaded.",
        }
    ]
    assert backend.rows() == []
    assert files_of(tusd)

    shown = cli("jobs", "--failed", "--data-dir", tusd.data_dir, "--json")
    job = json.loads(shown.stdout)
    assert (job["media_id"], job["kind"], job["state"]) == (medium["id"], "register", "parked")
    assert job["last_error"].startswith("The posts backend answered 422 ")
    assert "create it before its media are uploaded" in job["last_error"]

    backend.write("INSERT INTO posts VALUES ('forgotten', 'A title', 0, NULL)")
    assert cli("jobs", "--retry", medium["id"], "--data-dir", tusd.data_dir).returncode == 0
    medium = until(client, upload, "registered")
    assert medium["reasons"] == []
    assert backend_id(tusd, medium) == backend.rows()[0]["id"]


def test_a_backend_that_is_down_for_the_whole_upload_is_told_when_it_is_back(
    tusd: Live, backend: Backend, picture: Path
) -> None:
    client, post = Client(tusd), backend.new_post()
    backend.kill()
    upload = push(tusd, picture, post_id=post)
    until(client, upload, "ready")
    wait_until(lambda: "did not answer" in tusd.log(), "A try")
    backend.start()
    medium = until(client, upload, "registered", "failed")
    assert [row["message_id"] for row in backend.rows()] == [medium["id"]]
    assert backend_id(tusd, medium) == backend.rows()[0]["id"]


def test_a_backend_killed_between_its_commit_and_its_answer_has_one_row(
    tusd: Live, backend: Backend, picture: Path
) -> None:
    client, post = Client(tusd), backend.new_post()
    backend.flag("die").touch()
    upload = push(tusd, picture, post_id=post)
    wait_until(lambda: not backend.running, "The backend's death")
    (row,) = backend.rows()
    assert until(client, upload, "ready")["registered_at"] is None
    backend.start()
    medium = until(client, upload, "registered", "failed")
    assert backend.rows() == [row]
    assert backend_id(tusd, medium) == row["id"]


def test_a_worker_killed_between_the_answer_and_its_commit_leaves_one_row(
    tusd: Live, backend: Backend, picture: Path
) -> None:
    client, post = Client(tusd), backend.new_post()
    worker = tusd.supervised("worker")
    backend.flag("wait").touch()
    upload = push(tusd, picture, post_id=post)
    wait_until(backend.flag("waiting").exists, "The backend's commit")
    with writing_to(tusd):
        backend.flag("wait").unlink()
        wait_until(lambda: not connected_to(backend.port), "The worker's receipt of the answer")
        tusd.kill_child(worker)
    (row,) = backend.rows()
    assert until(client, upload, "ready")["registered_at"] is None
    # Published before tusd-server knows that the backend has the medium: the files go even so.
    backend.ask("POST", f"/posts/{post}/publish")
    medium = until(client, upload, "deleted", "failed")
    assert medium["registered_at"] is not None
    assert backend.rows() == [row]
    assert backend_id(tusd, medium) == row["id"]
    wait_until(lambda: not backend.rows("outbox"), "The end of the calls")
    assert files_of(tusd) == []


@pytest.mark.slow
def test_exactly_one_row_for_each_medium_whoever_is_killed_when(
    tusd: Live, backend: Backend, picture: Path
) -> None:
    dice = random.Random(4)
    client, post = Client(tusd), backend.new_post()
    uploads = []
    # The supervisor waits longer and longer for a worker that dies again and again.
    victims = ["worker"] * 4 + ["backend"] * 8
    dice.shuffle(victims)
    for victim in victims:
        uploads.append(push(tusd, picture, post_id=post))
        if victim == "worker":
            tusd.kill_child(tusd.supervised("worker"))
            continue
        # At the moment of the next commit, or else at any other.
        if dice.random() < 0.5:
            backend.flag("die").touch()
            wait_until(lambda: not backend.running, "The backend's death")
        backend.kill()
        backend.start()
    ids = {until(client, upload, "registered", "failed")["id"] for upload in uploads}
    states = {document(client, media_id)["status"] for media_id in ids}
    assert states == {"registered"}
    rows = backend.rows()
    assert sorted(row["message_id"] for row in rows) == sorted(ids)
    assert {row["message_id"]: row["id"] for row in rows} == backend_ids(tusd)


def backend_ids(tusd: Live) -> dict[str, str]:
    path = tusd.data_dir / ".tusd-server/catalog.db"
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as database:
        return dict(database.execute("SELECT id, backend_id FROM media"))


def backend_id(tusd: Live, medium: dict[str, Any]) -> str:
    return backend_ids(tusd)[medium["id"]]


@contextlib.contextmanager
def writing_to(tusd: Live) -> Iterator[None]:
    """Nobody else can commit to the records meanwhile."""
    path = tusd.data_dir / ".tusd-server/catalog.db"
    with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            database.execute("ROLLBACK")


def connected_to(port: int) -> bool:
    """Whether a client still holds a connection to this port, which the server may have closed."""
    established, close_wait = "01", "08"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    facts = [line.split() for line in lines]
    return any(
        int(remote.rpartition(":")[2], 16) == port and state in (established, close_wait)
        for _, _, remote, state, *_ in facts
    )
