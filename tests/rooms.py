"""The program inside one process, for tests: settings, applications, and a client that speaks tus.

A conversation is written as it goes over the wire: the request line without a version, headers,
an empty line, the body. The expected answer is a status, and the headers that matter.
"""

import base64
import functools
import re
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from processing.catalog import Catalog
from processing.shelf import Shelf
from processing.tasks import Tasks
from tests.records import examine, migrated
from tusd_server.app import create_app, make_locker, make_posts, make_store
from tusd_server.auth import User, make_token
from tusd_server.info import UploadInfo
from tusd_server.locks import MemoryLocker
from tusd_server.settings import Settings
from tusd_server.storage.base import DataStore
from tusd_server.storage.memory import MemoryStore
from tusd_server.uploads.files import FinishedUploads

SECRET = "a secret of tests that is longer than 32 bytes"
OCTETS = "application/offset+octet-stream"
# A GIF as far as its first bytes tell, and text for whoever reads the transcript.
GIF = b"GIF89a-----"
# An MP4 as far as its first bytes tell.
MP4 = b"\0\0\0\x10ftypisom\0\0\2\0"

ABSENT = "(absent)"
ANYTHING = "(anything)"


def settings(tmp_path: Path, **overrides: Any) -> Settings:
    """Settings below `tmp_path`; nothing is synced and nobody is waited for, unless told."""
    usual: dict[str, Any] = {
        "data_dir": tmp_path / "data",
        "jwt_secret": None if "jwt_public_key" in overrides else SECRET,
        "durability": "none",
        "lock_timeout_seconds": 0.3,
        "answer_wait_seconds": 0.01,
    }
    return Settings(**{**usual, **overrides})


@contextmanager
def make_app(config: Settings, **parts: Any) -> Iterator[Flask]:
    """An application; `parts` are create_app's `store` and `locker`."""
    _lay_tables(config)
    app = create_app(config, **parts)
    try:
        yield app
    finally:
        catalog_of(app).close()


def _lay_tables(config: Settings) -> None:
    """Copy tables that are made once, since making them takes longer than most tests."""
    catalog = config.state_dir / "catalog.db"
    if config.database_url is None and not catalog.exists():
        config.state_dir.mkdir(parents=True, exist_ok=True)
        catalog.write_bytes(_empty_tables())


@functools.cache
def _empty_tables() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.db"
        with migrated(f"sqlite:///{path}"):
            pass
        return path.read_bytes()


def in_memory(store: DataStore | None = None) -> dict[str, Any]:
    """The parts of an application that keeps uploads in memory, or in this store."""
    return {"store": store or MemoryStore(), "locker": MemoryLocker(timeout_seconds=0.3)}


def able_to(*abilities: type) -> Any:
    """A store in memory that has these abilities of storage.base and no others."""
    store = MemoryStore()
    return SimpleNamespace(
        **{
            name: getattr(store, name)
            for ability in (DataStore, *abilities)
            for name in vars(ability)
            if not name.startswith("_")
        }
    )


def timeless(info: UploadInfo) -> UploadInfo:
    """The upload without the moment at which its bytes came, which there must be."""
    assert info.touched_at is not None
    return replace(info, touched_at=None)


def catalog_of(app: Flask) -> Catalog:
    """The records that an application works with."""
    view: Any = app.view_functions["media.one"]
    catalog: Catalog = view.__self__._catalog
    return catalog


def metadata(**values: str | bytes | None) -> str:
    """An Upload-Metadata header."""
    return ",".join(_pair(key, value) for key, value in values.items())


def _pair(key: str, value: str | bytes | None) -> str:
    if value is None:
        return key
    octets = value.encode() if isinstance(value, str) else value
    return f"{key} {base64.b64encode(octets).decode()}"


class Untouched:
    """A body that must not be read."""

    def __init__(self) -> None:
        self.read_calls = 0

    def read(self, size: int = -1) -> bytes:
        self.read_calls += 1
        raise AssertionError("the body was read")


class Cut:
    """A body whose connection breaks behind `sent`, with `error` or by its end."""

    def __init__(self, sent: bytes, error: Exception | None = None) -> None:
        self._left = sent
        self._error = error

    def read(self, size: int = -1) -> bytes:
        block, self._left = self._left[:size], self._left[size:]
        if not block and self._error is not None:
            raise self._error
        return block


@dataclass(frozen=True)
class Said:
    """One side of a conversation, read from its transcript."""

    first: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @classmethod
    def from_text(cls, text: str) -> "Said":
        head, _, body = textwrap.dedent(text).strip("\n ").partition("\n\n")
        first, *lines = head.splitlines()
        pairs = (line.partition(":") for line in lines)
        return cls(
            first.strip(),
            tuple((name.strip(), value.strip()) for name, _, value in pairs),
            body.rstrip("\n").encode("latin-1"),
        )


class Tus:
    """A client of one user; everything it sends carries the user's token."""

    def __init__(self, app: Flask, user: str = "alice", *, staff: bool = False) -> None:
        self.app = app
        self.client = app.test_client()
        self.token: str | None = None
        if app.config.get("JWT_SECRET_KEY"):
            self.token = make_token(app, User(user, staff=staff), hours=1)

    def other(self, user: str, *, staff: bool = False) -> "Tus":
        """Another user of the same application."""
        return Tus(self.app, user, staff=staff)

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | list[tuple[str, str]] = (),  # type: ignore[assignment]
        body: bytes = b"",
        **environ: Any,
    ) -> TestResponse:
        """Any request; `environ` goes into the WSGI environment, `wsgi_input` as the body."""
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if self.token is not None and not any(name == "Authorization" for name, _ in pairs):
            pairs.append(("Authorization", f"Bearer {self.token}"))
        pairs = [(name, value) for name, value in pairs if value != ABSENT]
        if "wsgi_input" in environ:
            environ["wsgi.input"] = environ.pop("wsgi_input")
        return self.client.open(
            path,
            method=method,
            headers=pairs,
            data=body or None,
            buffered=True,
            environ_overrides=environ,
        )

    def talk(
        self, request: str, answer: str, *, body: bytes | None = None, **environ: Any
    ) -> TestResponse:
        """Send a transcript's request and compare what comes back with its answer.

        A header of the answer is a value, `(absent)`, or `(anything)`; a body of the answer is
        all of it. In a request, `Authorization: (absent)` leaves the token out.
        """
        said, expected = Said.from_text(request), Said.from_text(answer)
        method, path = said.first.split()
        sent = said.body if body is None else body
        response = self.send(method, path, list(said.headers), sent, **environ)
        shown = f"{response.status}\n{response.headers}\n{response.text[:300]!r}"
        assert response.status_code == int(expected.first.split()[0]), shown
        for name, value in expected.headers:
            assert _matches(response.headers.getlist(name), value), f"{name}: {value}\n\n{shown}"
        if expected.body:
            assert response.data == expected.body + b"\n", shown
        return response

    def create(
        self,
        length: int = len(GIF),
        metadata: str | None = None,
        body: bytes | None = None,
    ) -> str:
        """Make an upload, perhaps with its first bytes; its id."""
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(length)}
        if metadata is not None:
            headers["Upload-Metadata"] = metadata
        if body is not None:
            headers["Content-Type"] = OCTETS
        response = self.send("POST", "/files/", headers, body or b"")
        assert response.status_code == 201, response.text
        return upload_id(response)

    def append(self, upload_id: str, offset: int, body: bytes, **environ: Any) -> TestResponse:
        """PATCH."""
        headers = {
            "Tus-Resumable": "1.0.0",
            "Upload-Offset": str(offset),
            "Content-Type": OCTETS,
        }
        if "wsgi_input" in environ:
            environ.setdefault("CONTENT_LENGTH", str(len(body)))
            body = b""
        return self.send("PATCH", f"/files/{upload_id}", headers, body, **environ)

    def head(self, upload_id: str) -> TestResponse:
        """HEAD."""
        return self.send("HEAD", f"/files/{upload_id}", {"Tus-Resumable": "1.0.0"})

    def offset(self, upload_id: str) -> int:
        """Where HEAD says the upload stands."""
        response = self.head(upload_id)
        assert response.status_code == 200, response.status
        return int(response.headers["Upload-Offset"])

    def delete(self, upload_id: str) -> TestResponse:
        """DELETE."""
        return self.send("DELETE", f"/files/{upload_id}", {"Tus-Resumable": "1.0.0"})

    def get(self, path: str, **headers: str) -> TestResponse:
        """GET; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("GET", path, named)


def upload_id(response: TestResponse) -> str:
    """The id at the end of Location."""
    return response.headers["Location"].rpartition("/")[2]


def _matches(values: list[str], expected: str) -> bool:
    if expected == ABSENT:
        return not values
    if expected == ANYTHING:
        return len(values) == 1
    pattern = ".*".join(re.escape(part) for part in expected.split("..."))
    return len(values) == 1 and re.fullmatch(pattern, values[0]) is not None


def run_jobs(app: Flask, config: Settings) -> None:
    """Do the worker's waiting jobs on the local store, believing every file to be a video."""
    catalog = catalog_of(app)
    shelf = Shelf(config.data_dir)
    tasks = Tasks(
        catalog=catalog,
        examine=examine,
        files=FinishedUploads(make_store(config), make_locker(config), catalog),
        shelf=shelf,
        posts=make_posts(config, catalog, shelf),
        work_dir=config.state_dir / "work",
    )
    while (job := catalog.queue.claim(lease_seconds=60.0)) is not None:
        tasks.run(job)
        assert catalog.queue.done(job)
