"""Workers are killed at every point of a job, at random, and by a file: nothing is lost, and no
effect comes twice.
"""

import contextlib
import hashlib
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image

from processing.catalog import Catalog
from processing.medium import Medium
from tests import media
from tests.live import ROOT
from tests.records import database_url, known, migrated, postgres
from tests.rooms import Tus, make_app, metadata, settings
from tests.services import wait_until
from tests.survival.condemned import EFFECTS, STEPS
from tusd_server.settings import Settings

__all__ = ["database_url", "postgres"]

POINTS = [
    *(f"step {name}" for name in STEPS),
    *(f"after {name}" for name in ("processing", "place", "put", "hand over")),
    *("before ready", "after ready", "after register", "before registered", "after registered"),
    "before done",
]
DEATH_SECONDS = 60.0
END_SECONDS = 120.0
KILLED = -9


@dataclass
class Floor:
    """One data directory and database, the workers there, and what its media hold."""

    config: Settings
    effects: Path
    contents: dict[str, bytes]

    @contextlib.contextmanager
    def worker(self, point: str = "never") -> Iterator[subprocess.Popen[bytes]]:
        """A worker that dies at this point; it is ended when the block is left."""
        inherited = {name: text for name, text in os.environ.items() if name[:5] != "TUSD_"}
        command = [sys.executable, "-m", "tests.survival.condemned", point, str(self.effects)]
        with (self.config.data_dir.with_name("workers.log")).open("ab") as log:
            process = subprocess.Popen(
                command,
                env={**inherited, **self.config.environ(), "PYTHONPATH": str(ROOT)},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def dies(self, point: str) -> None:
        with self.worker(point) as process:
            assert process.wait(DEATH_SECONDS) == KILLED, point

    def settle(self) -> None:
        """Let an immortal worker do all that is left."""
        with self.worker(), migrated(self.config.catalog_url) as catalog:
            wait_until(lambda: not catalog.queue.waiting(), "the end of the last job", END_SECONDS)

    def media(self, catalog: Catalog) -> list[Medium]:
        found, following = catalog.find(limit=1000)
        assert following is None
        return list(found)

    def check(self, *, poisoned: int = 0, unnoted: int = 0) -> None:
        """Every medium is registered once, whole and alone; nothing is left of the dead.

        At most so many effects are `unnoted`: a worker can die between one and its note.
        """
        with migrated(self.config.catalog_url) as catalog:
            assert catalog.queue.waiting() == []
            assert len(catalog.queue.failed()) == poisoned
            found = [each for each in self.media(catalog) if each.status != "failed"]
        assert len(found) == len(self.contents) - poisoned
        assert {each.status for each in found} == {"registered"}
        for medium in found:
            self._check_files(medium)
        shelf = self.config.data_dir / "uploads"
        lying = {
            str(path.relative_to(self.config.data_dir))
            for path in shelf.rglob("*")
            if path.is_file()
        }
        assert lying == {path for medium in found for path in _files(medium)}
        told = Counter(self.effects.read_text().splitlines())
        assert set(told.values()) == {1}
        effects = {f"{name} {medium.id}" for medium in found for name in EFFECTS}
        assert told.keys() <= effects
        assert len(effects - told.keys()) <= unnoted

    def _check_files(self, medium: Medium) -> None:
        content = self.contents[medium.upload_id]
        assert medium.path is not None
        assert medium.thumbnail_path is not None
        assert (self.config.data_dir / medium.path).read_bytes() == content
        assert medium.sha256 == hashlib.sha256(content).hexdigest()
        assert not (self.config.data_dir / medium.upload_id).exists()
        with Image.open(self.config.data_dir / medium.thumbnail_path) as thumbnail:
            thumbnail.load()


def _files(medium: Medium) -> set[str]:
    derivatives = {each.path for each in medium.derivatives if each.status == "ready"}
    assert len(derivatives) == 1
    return {str(medium.path), str(medium.thumbnail_path), *derivatives}


@pytest.fixture
def floor(tmp_path: Path, database_url: str) -> Floor:
    config = settings(
        tmp_path,
        database_url=database_url,
        job_lease_seconds=0.9,
        job_attempts=1000,
        worker_concurrency=1,
        shutdown_seconds=5.0,
        thumbnail_sizes=(64,),
    )
    effects = tmp_path / "effects"
    effects.touch()
    return Floor(config, effects, {})


def upload(floor: Floor, tmp_path: Path, photos: int, name: str = "photo.jpg") -> None:
    """A short video and so many photos of different content, all for one post."""
    paths = [media.make_jpeg(tmp_path / f"{n}.jpg", 120 + n, 120) for n in range(photos)]
    paths.append(media.make_mp4(tmp_path / "clip.mp4"))
    with make_app(floor.config) as app:
        alice = Tus(app)
        for path in paths:
            said = metadata(filename=name if path.suffix == ".jpg" else path.name, post_id="p1")
            upload_id = alice.create(path.stat().st_size, said, path.read_bytes())
            floor.contents[upload_id] = path.read_bytes()


@pytest.mark.slow
def test_a_worker_may_die_at_any_point_of_a_job(floor: Floor, tmp_path: Path) -> None:
    upload(floor, tmp_path, 2 * len(POINTS))
    for point in POINTS:
        floor.dies(point)
    floor.settle()
    floor.check()


@pytest.mark.slow
def test_a_worker_may_die_in_the_middle_of_a_transcode(
    floor: Floor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ffmpeg dies with it, and the half of a file that it leaves is nobody's rendition."""
    floor.config = replace(floor.config, renditions=(720,), thumbnail_sizes=())
    with make_app(floor.config) as app:
        path = media.make_mp4(tmp_path / "clip.mp4", seconds=4, size="1280x720", rate=30)
        said = metadata(filename=path.name, post_id="p1")
        upload_id = Tus(app).create(path.stat().st_size, said, path.read_bytes())
        floor.contents[upload_id] = path.read_bytes()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    for _ in range(2):
        floor.dies("amid 720p")
        wait_until(lambda: not transcoding(floor.config.data_dir), "the end of ffmpeg")
        assert list(temporary.iterdir()) == []
        with migrated(floor.config.catalog_url) as catalog:
            (medium,) = floor.media(catalog)
            assert [each.status for each in medium.derivatives] == ["pending"]
    floor.settle()
    floor.check()
    with migrated(floor.config.catalog_url) as catalog:
        (rendition,) = floor.media(catalog)[0].derivatives
    assert (rendition.width, rendition.height) == (1280, 720)
    assert (floor.config.data_dir / rendition.path).stat().st_size == rendition.size


def transcoding(data_dir: Path) -> bool:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if b"libx264" in command and str(data_dir).encode() in command:
                return True
    return False


@pytest.mark.slow
def test_workers_may_die_at_any_moment(floor: Floor, tmp_path: Path) -> None:
    upload(floor, tmp_path, 40)
    moments = random.Random(4)
    deaths = 0
    with migrated(floor.config.catalog_url) as catalog:
        while deaths < 8 and catalog.queue.waiting():
            with floor.worker() as one, floor.worker() as other:
                before = len(catalog.queue.waiting())
                wait_until(
                    lambda n=before: len(catalog.queue.waiting()) != n, "a worker at work", 60
                )
                for process in (one, other):
                    time.sleep(moments.uniform(0.0, 0.5))
                    process.kill()
                    assert process.wait(30) == KILLED
                    deaths += 1
    assert deaths == 8
    floor.settle()
    floor.check(unnoted=deaths)


@pytest.mark.slow
def test_a_file_that_kills_its_worker_is_parked_and_the_others_are_not(
    floor: Floor, tmp_path: Path
) -> None:
    floor.config = replace(floor.config, job_attempts=3)
    upload(floor, tmp_path, 1, name="poison.jpg")
    poison = next(iter(floor.contents))
    deaths = 0
    with migrated(floor.config.catalog_url) as catalog:
        medium = catalog.by_upload(poison)
        assert medium is not None
        while known(catalog, medium.id).status != "failed":
            with floor.worker("poison") as process:
                wait_until(
                    lambda p=process: (
                        p.poll() is not None or known(catalog, medium.id).status == "failed"
                    ),
                    "the worker's death, or the end of the tries",
                    END_SECONDS,
                )
                deaths += process.poll() == KILLED
        assert deaths == 3
        (job,) = catalog.queue.failed()
        assert (job.attempts, job.last_error) == (4, "Its worker died in each of 3 tries.")
        assert [r.code for r in known(catalog, medium.id).reasons] == ["processing_crashed"]
    floor.settle()
    floor.check(poisoned=1)
