"""Records, files and clocks for tests of what happens after the last byte."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from hooks.posts import EmbeddedPosts
from processing.catalog import Catalog
from processing.declared import Declared
from processing.examined import Examined, Thumbnail
from processing.medium import Medium, Received
from processing.moments import Clock, utc_now
from processing.recipe import THUMBNAIL
from processing.reconciler import Reconciler
from processing.shelf import Shelf
from processing.tasks import Derive, Examine, Tasks
from processing.wake import PollingWaker
from processing.worker import Pace, Worker
from tests.services import ServiceMissing, postgres_server

START = datetime(2026, 11, 22, 12, 30, 5, tzinfo=UTC)


class FakeClock:
    """A clock that moves only when told to."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class FolderFiles:
    """Uploads of a folder; a note beside each one says where it was moved to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, upload_id: str, content: bytes = b"the bytes") -> None:
        (self.folder / upload_id).write_bytes(content)

    def path(self, upload_id: str) -> Path:
        note = self.folder / f"{upload_id}.moved"
        if note.exists() and Path(note.read_text()).exists():
            return Path(note.read_text())
        return self.folder / upload_id

    def hand_over(self, upload_id: str, destination: Path) -> None:
        source = self.path(upload_id)
        (self.folder / f"{upload_id}.moved").write_text(str(destination))
        if source != destination:
            source.rename(destination)

    def wanted_place(self, upload_id: str) -> str | None:
        note = self.folder / f"{upload_id}.wanted"
        return note.read_text() if note.exists() else None

    def discard(self, upload_id: str) -> None:
        self.path(upload_id).unlink(missing_ok=True)


EXAMINED = Examined(
    media_type="video",
    content_type="video/mp4",
    width=1080,
    height=1920,
    duration=12.5,
    codec="h264",
    bitrate=4_000_000,
    fps=29.97,
    rotation=90,
    size=9,
    sha256="ab" * 32,
    probe="ffprobe",
    thumbnail=Thumbnail("ready", None, 360, 640),
)
NO_THUMBNAIL = replace(EXAMINED, thumbnail=Thumbnail("skipped", "ffmpeg_missing", None, None))


def examine(source: Path, declared: Declared, into: Path) -> Examined:
    """A pipeline that accepts every file that is there."""
    assert source.read_bytes()
    (into / THUMBNAIL).write_bytes(b"a small picture")
    return EXAMINED


def received(upload_id: str = "u1", **changes: object) -> Received:
    usual = Received(
        upload_id=upload_id,
        owner="alice",
        size=9,
        created_at=START,
        file_name="Holiday.MP4",
        content_type="video/mp4",
        metadata={"filename": "Holiday.MP4", "filetype": "video/mp4"},
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def ready_medium(catalog: Catalog, upload_id: str = "u1", **changes: object) -> Medium:
    medium = catalog.receive(received(upload_id, **changes))
    assert catalog.processing(medium.id)
    assert catalog.ready(medium.id, EXAMINED)
    return known(catalog, medium.id)


def known(catalog: Catalog, media_id: str) -> Medium:
    medium = catalog.get(media_id)
    assert medium is not None
    return medium


@contextmanager
def migrated(url: str, clock: Clock = utc_now) -> Iterator[Catalog]:
    catalog = Catalog(url, clock=clock)
    catalog.migrate()
    try:
        yield catalog
    finally:
        catalog.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL for a room's tests; where there is none, they are skipped and say so."""
    pytest.importorskip("psycopg", reason="psycopg is not installed; it is the extra 'postgres'.")
    try:
        with postgres_server() as url:
            yield url
    except ServiceMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=("sqlite", "postgresql"))
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database that only this test has, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"
    server = make_url(request.getfixturevalue("postgres"))
    name = f"test_{uuid.uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return server.set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def catalog(database_url: str, clock: FakeClock) -> Iterator[Catalog]:
    with migrated(database_url, clock) as catalog:
        yield catalog


def worker_for(
    catalog: Catalog,
    folder: Path,
    pipeline: Examine = examine,
    *,
    derive: Derive | None = None,
    **pace: float,
) -> Worker:
    """A worker over one data directory, with embedded posts and a pace fit for tests."""
    shelf = Shelf(folder)
    work_dir = folder / "work"
    tasks = Tasks(
        catalog=catalog,
        examine=pipeline,
        files=FolderFiles(folder),
        shelf=shelf,
        posts=EmbeddedPosts(catalog, shelf),
        work_dir=work_dir,
        derive=derive,
    )
    nothing: list[Received] = []
    reconciler = Reconciler(
        catalog=catalog, shelf=shelf, finished_uploads=lambda: nothing, work_dir=work_dir
    )
    quick = replace(Pace(), backoff_seconds=0.01, **pace)  # type: ignore[arg-type]
    return Worker(
        catalog=catalog, tasks=tasks, rounds=(reconciler.run,), waker=PollingWaker(0.01), pace=quick
    )
