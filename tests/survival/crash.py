"""Kill processes of a live server at random moments while uploads run, and count what was lost.

`python -m tests.survival.crash --kills 100 --seed 1` prints its counts and its seed, and every
broken promise; the exit status is 1 when there is one.
"""

import argparse
import base64
import contextlib
import hashlib
import io
import itertools
import os
import random
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from PIL import Image
from requests.exceptions import RequestException
from sqlalchemy import func, select
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from processing.catalog import Catalog
from processing.shelf import Shelf
from processing.tables import jobs, media
from tests.live import Live, make_token
from tests.raw import metadata_header
from tests.services import wait_until
from tests.survival.chunking import ChunkClient, send_in_chunks
from tests.survival.persistent import Broken, Persistent, path_of
from tusd_server.app import make_locker, make_store, make_uploads
from tusd_server.errors import UploadLocked
from tusd_server.info import now_utc
from tusd_server.settings import Settings
from tusd_server.uploads.joining import Bystander
from tusd_server.uploads.sweeper import Sweeper
from tusd_server.web.schemas import LEAST_CHUNK_BYTES

C = TypeVar("C", bound=Persistent)
STYLES = (
    "plain",
    "bare",
    "with bytes",
    "checksums",
    "deferred",
    "sha256",
    "digest",
    "concat",
    "tuspy",
    "chunks",
)
# Web processes matter most; behind a dead supervisor everything is started anew.
TARGETS = {"web": 12, "worker": 4, "gunicorn": 2, "supervisor": 2, "everything": 1}
SETTLE_SECONDS = 150.0
SETTINGS: dict[str, object] = {
    "worker": True,
    "workers": 2,
    "job_lease_seconds": 3,
    # Every kill of the worker counts as a try of the jobs that it ran.
    "job_attempts": 1000,
    "shutdown_seconds": 2,
    "lock_timeout_seconds": 3,
    "durability": "finish",
}


@dataclass(frozen=True)
class Sent:
    """An upload that a client believes to be complete."""

    path: str
    content: bytes
    post_id: str
    style: str

    @property
    def upload_id(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass
class Counts:
    """What happened; `broken` should stay empty."""

    kills: Counter[str] = field(default_factory=Counter)
    sent: list[Sent] = field(default_factory=list)
    breaks: int = 0
    refusals: int = 0
    left: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def expect(self, holds: bool, promise: str) -> None:
        if not holds:
            self.broken.append(promise)

    def lines(self) -> Iterator[str]:
        styles = Counter(sent.style for sent in self.sent)
        size = sum(len(sent.content) for sent in self.sent)
        yield f"kills: {sum(self.kills.values())} ({_listed(self.kills)})"
        yield f"uploads: {len(self.sent)} with {size} bytes ({_listed(styles)})"
        yield f"broken connections: {self.breaks}; answers to try again: {self.refusals}"
        yield f"left for the sweeper: {_listed(self.left) or 'nothing'}"
        yield f"broken promises: {len(self.broken)}"
        yield from (f"  {promise}" for promise in self.broken)


class Site:
    """A server that is started again, on another port, when all of it is dead."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.ended: list[Live] = []
        self.live = self._start()

    @property
    def host(self) -> str:
        return self.live.host

    @property
    def port(self) -> int:
        return self.live.port

    def token(self, user: str = "alice") -> str:
        return make_token(user)

    def restart(self) -> None:
        self.ended.append(self.live)
        self.live = self._start()

    def logs(self) -> str:
        return "".join(live.log() for live in (*self.ended, self.live))

    def _start(self) -> Live:
        return Live(self.data_dir, **SETTINGS).start()  # type: ignore[arg-type]


class Killer:
    """SIGKILL for one process after the other, chosen by chance."""

    def __init__(self, site: Site, rng: random.Random, counts: Counts) -> None:
        self._site = site
        self._rng = rng
        self._counts = counts

    def kill(self) -> None:
        target = self._rng.choices(tuple(TARGETS), tuple(TARGETS.values()))[0]
        live = self._site.live
        if target == "everything":
            live.kill()
            self._site.restart()
        elif target == "supervisor":
            # Its children learn of it and stop by themselves, beside the new ones.
            os.kill(live.pid, signal.SIGKILL)
            wait_until(lambda: not live.running, "The end of the supervisor")
            self._site.restart()
        elif target == "web":
            live.kill_child(self._rng.choice(live.web_pids()))
        else:
            live.kill_child(live.supervised(target))
        self._counts.kills[target] += 1


class Sender(threading.Thread):
    """Uploads one medium after the other until it is told to stop."""

    def __init__(self, site: Site, rng: random.Random, counts: Counts, numbers: Iterator[int]):
        super().__init__(daemon=True)
        self._site = site
        self._rng = rng
        self._counts = counts
        self._numbers = numbers
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            style = self._rng.choice(STYLES)
            try:
                self._counts.sent.append(self._send(style))
            except Exception as error:
                self._counts.broken.append(f"{style}: {type(error).__name__}: {error}")

    def _send(self, style: str) -> Sent:
        number = next(self._numbers)
        content = noise_jpeg(self._rng)
        post_id = f"post-{number}"
        values = {"filename": f"{number}.jpg", "filetype": "image/jpeg", "post_id": post_id}
        if style == "chunks":
            return Sent(self._in_chunks(content, values), content, post_id, style)
        client = self._client()
        path = self._upload(client, style, content, values)
        self._count(client)
        return Sent(path, content, post_id, style)

    def _client(self) -> Persistent:
        return self._slowly(Persistent(self._site, random.Random(self._rng.random())))

    def _slowly(self, client: C) -> C:
        client.block_pause = 0.15
        return client

    def _in_chunks(self, content: bytes, values: dict[str, str]) -> str:
        count = self._rng.randint(1, 3)
        rngs = [random.Random(self._rng.random()) for _ in range(count)]
        clients = [self._slowly(ChunkClient(self._site, rng)) for rng in rngs]
        path = send_in_chunks(clients, content, values, chunk_size=LEAST_CHUNK_BYTES)
        for client in clients:
            self._count(client)
        return path

    def _count(self, client: Persistent) -> None:
        self._counts.breaks += client.breaks
        self._counts.refusals += client.refusals

    def _upload(
        self, client: Persistent, style: str, content: bytes, values: dict[str, str]
    ) -> str:
        if style == "concat":
            return self._concat(client, content, values)
        if style == "sha256":
            values = {**values, "sha256": hashlib.sha256(content).hexdigest()}
        fields = [("Upload-Metadata", metadata_header(**values))]
        if style == "digest":
            digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
            fields.append(("Repr-Digest", f"sha-256=:{digest}:"))
        deferred = style == "deferred"
        length = ("Upload-Defer-Length", "1") if deferred else ("Upload-Length", str(len(content)))
        if style == "with bytes":
            path = path_of(client.create_surely(*fields, length, body=content))
        else:
            path = path_of(client.create_surely(*fields, length, key=style != "bare"))
        if style == "tuspy":
            self._tuspy(path, content)
        chunk = self._rng.randint(20_000, 150_000)
        sums = style == "checksums" or (style != "plain" and self._rng.random() < 0.2)
        already = len(content) if style in ("tuspy", "with bytes") else 0
        client.append_surely(
            path, content, chunk=chunk, checksums=sums, tell_length=deferred, already=already
        )
        return path

    def _concat(self, client: Persistent, content: bytes, values: dict[str, str]) -> str:
        cuts = sorted(self._rng.sample(range(1, len(content)), self._rng.randint(1, 3)))
        edges = itertools.pairwise([0, *cuts, len(content)])
        parts = [content[start:end] for start, end in edges]
        partial = ("Upload-Concat", "partial")
        paths = [
            path_of(client.create_surely(partial, ("Upload-Length", str(len(part)))))
            for part in parts
        ]
        final = [
            ("Upload-Metadata", metadata_header(**values)),
            ("Upload-Concat", "final;" + " ".join(paths)),
        ]
        early = self._rng.random() < 0.5
        path = path_of(client.create_surely(*final)) if early else ""
        self._send_parts(paths, parts, early)
        path = path or path_of(client.create_surely(*final))
        # Nobody but HEAD joins what a crash left unjoined before the sweeper's next round.
        answer = client.look_surely(path)
        if answer.status != 200 or answer.get("upload-offset") != str(len(content)):
            raise Broken(f"The whole of finished parts is shown as {answer}.")
        return path

    def _send_parts(self, paths: list[str], parts: list[bytes], early: bool) -> None:
        failures: list[Exception] = []

        def send(client: Persistent, path: str, part: bytes, sums: bool) -> None:
            try:
                client.append_surely(path, part, chunk=60_000, checksums=sums, may_vanish=early)
            except Exception as error:
                failures.append(error)

        clients = [self._client() for _ in parts]
        threads = [
            threading.Thread(target=send, args=(each, path, part, self._rng.random() < 0.4))
            for each, path, part in zip(clients, paths, parts, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for each in clients:
            self._count(each)
        if failures:
            raise failures[0]

    def _tuspy(self, path: str, content: bytes) -> None:
        headers = {"Authorization": f"Bearer {self._site.token()}"}
        give_up = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < give_up:
            base = f"http://{self._site.host}:{self._site.port}"
            try:
                tus = TusClient(f"{base}/files/", headers=headers)
                chunk = self._rng.randint(20_000, 100_000)
                uploader = tus.uploader(
                    file_stream=io.BytesIO(content), url=base + path, chunk_size=chunk
                )
                while uploader.offset < len(content):
                    uploader.upload_chunk()
                    time.sleep(self._rng.uniform(0, 0.1))
            except (TusCommunicationError, RequestException, OSError):
                time.sleep(0.1)
            else:
                return
        raise Broken(f"tuspy did not finish {path} in time.")


def noise_jpeg(rng: random.Random) -> bytes:
    """A valid JPEG of noise, 30 to 600 KB, unlike any other."""
    width, height = rng.randint(140, 520), rng.randint(140, 520)
    image = Image.frombytes("RGB", (width, height), rng.randbytes(width * height * 3))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92)
    return file.getvalue()


def survive(
    data_dir: Path, *, kills: int, seed: int, senders: int = 6, pause: float = 1.0
) -> Counts:
    """Run the server, the clients and the killer; what happened, checked to the last byte."""
    rng = random.Random(seed)
    counts = Counts()
    site = Site(data_dir)
    try:
        numbers = itertools.count()
        threads = [
            Sender(site, random.Random(rng.random()), counts, numbers) for _ in range(senders)
        ]
        for thread in threads:
            thread.start()
        killer = Killer(site, rng, counts)
        for _ in range(kills):
            time.sleep(rng.uniform(0, 2 * pause))
            killer.kill()
        for thread in threads:
            thread.stopping.set()
        for thread in threads:
            thread.join(SETTLE_SECONDS)
            counts.expect(not thread.is_alive(), "A client is still at work.")
        settle(site, counts)
        site.live.stop()
    finally:
        for live in (*site.ended, site.live):
            live.kill()
    _check_log(site.logs(), counts)
    return counts


def _check_log(log: str, counts: Counts) -> None:
    for found in re.finditer("unexpected error", log):
        counts.broken.append(f"The server wrote: {log[found.start() : found.start() + 4000]}")


def settle(site: Site, counts: Counts) -> None:
    """Wait until all jobs are done, and compare what is there with what was sent."""
    settings = Settings(data_dir=site.data_dir, jwt_secret="-" * 32, lock_timeout_seconds=0.01)
    catalog = Catalog(settings.catalog_url)
    try:
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: _jobs(catalog) == 0, "The end of all jobs", SETTLE_SECONDS)
        counts.expect(_jobs(catalog) == 0, f"{_jobs(catalog)} jobs are left.")
        for sent in counts.sent:
            _check_one(site, catalog, sent, counts)
        _check_all(site.data_dir, catalog, counts)
        _check_left(settings, catalog, counts)
    finally:
        catalog.close()


def _check_one(site: Site, catalog: Catalog, sent: Sent, counts: Counts) -> None:
    name = f"{sent.style} upload {sent.upload_id}"
    medium = catalog.by_upload(sent.upload_id)
    if medium is None:
        counts.broken.append(f"{name} has no record.")
        return
    counts.expect(medium.status == "registered", f"{name} is {medium.status}: {medium.reasons}")
    counts.expect(medium.sha256 == sent.sha256, f"{name}: the record has another SHA-256.")
    counts.expect(medium.post_id == sent.post_id, f"{name}: the record has another post.")
    for path in filter(None, (medium.path, medium.thumbnail_path)):
        counts.expect((site.data_dir / path).is_file(), f"{name}: {path} is not there.")
    if medium.path is not None and (site.data_dir / medium.path).is_file():
        stored = (site.data_dir / medium.path).read_bytes()
        counts.expect(stored == sent.content, f"{name} is not byte-exact on the disk.")
    answer = Persistent(site, random.Random(0)).ask("GET", sent.path)
    counts.expect(answer.body == sent.content, f"{name} is not byte-exact when it is fetched.")


def _check_all(data_dir: Path, catalog: Catalog, counts: Counts) -> None:
    def rows(column: object) -> list[str]:
        return catalog.database.read(lambda c: list(c.scalars(select(column))))  # type: ignore[call-overload]

    known = {sent.upload_id for sent in counts.sent}
    recorded = rows(media.c.upload_id)
    counts.expect(len(recorded) == len(set(recorded)), "An upload has two records.")
    counts.expect(set(recorded) <= known, f"Nobody sent {set(recorded) - known}.")
    digests = rows(media.c.sha256)
    counts.expect(len(digests) == len(set(digests)), "A file was registered twice.")
    shelved = {path.relative_to(data_dir).as_posix() for path in _files(data_dir / "uploads")}
    expected = set(rows(media.c.path)) | set(rows(media.c.thumbnail_path))
    counts.expect(shelved == expected, f"The shelf and the records differ: {shelved ^ expected}.")


def _check_left(settings: Settings, catalog: Catalog, counts: Counts) -> None:
    """Nothing may be left but uploads whose creation nobody heard of, and what sweepers remove."""
    state = settings.state_dir
    store, locker = make_store(settings), make_locker(settings)
    known = {sent.upload_id for sent in counts.sent}
    unfinished = [info for info in store.all() if info.path is None]
    counts.expect(
        not any(info.id in known for info in unfinished), "A finished upload was not handed over."
    )
    abandoned = {info.id for info in unfinished}
    for folder in ("unverified", "chunks"):
        notes = {path.name for path in (state / folder).iterdir()}
        counts.expect(notes <= abandoned, f"Notes are left in {folder}: {notes - abandoned}.")
    for info in unfinished:
        try:
            with locker.hold(info.id, Bystander()):
                pass
        except UploadLocked:
            counts.broken.append(f"The lock of {info.id} is held.")
    strays = list(store.orphans(0))
    counts.left = {"unheard creations": len(abandoned), "stray files": len(strays)}
    for stray in strays:
        stray.unlink()
    _sweep(settings, catalog)
    left = {path.name for path in settings.data_dir.iterdir()} - {".tusd-server", "uploads"}
    for folder in ("unverified", "chunks", "awaited", "lock-requests"):
        left |= {f"{folder}/{path.name}" for path in (state / folder).iterdir()}
    counts.expect(not left, f"Behind the sweeper there are still {left}.")


def _sweep(settings: Settings, catalog: Catalog) -> None:
    """The sweeper's rounds of the next days."""
    store, locker = make_store(settings), make_locker(settings)
    for days in (2, 4):
        moment = now_utc() + timedelta(days=days)
        shelf = Shelf(settings.data_dir)
        uploads = make_uploads(settings, store, locker, catalog, shelf)
        Sweeper(
            store,
            locker,
            uploads,
            forget_gone_after=timedelta(seconds=settings.expire_rejected_seconds),
            forget_finished_after=timedelta(seconds=settings.expire_finished_seconds),
            clock=lambda moment=moment: moment,  # type: ignore[misc]
        ).sweep(thoroughly=True)


def _jobs(catalog: Catalog) -> int:
    count = select(func.count()).select_from(jobs)
    return int(catalog.database.read(lambda c: c.scalar(count)) or 0)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _listed(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(numbers.items()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.survival.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None, help="chosen by chance when left out")
    parser.add_argument("--senders", type=int, default=6)
    asked = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if asked.seed is None else asked.seed
    print(f"seed: {seed}", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tusd-crash-") as folder:
        counts = survive(Path(folder) / "data", kills=asked.kills, seed=seed, senders=asked.senders)
        for line in counts.lines():
            print(line)
    print(f"seconds: {time.monotonic() - started:.0f}")
    return 1 if counts.broken else 0


if __name__ == "__main__":
    sys.exit(main())
