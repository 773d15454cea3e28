"""Chunks of one upload, sent into many processes at once; some of these are killed."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hooks.base import Hooks
from hooks.events import RequestFacts
from tests.desk import body_of
from tests.live import ROOT
from tests.services import wait_until
from tusd_server.locks import FileLocker
from tusd_server.storage.filesystem import FilesystemStore
from tusd_server.uploads.service import Uploads

SIZE = 3_000_001
CHUNK = 100_000
SECONDS = 60.0

# Speaks a line for each chunk that it is told to put; as a web process does, on gevent or not.
PUTS = """
import sys
if sys.argv[4] == "gevent":
    from gevent import monkey
    monkey.patch_all()
import io, random, threading, time
from pathlib import Path
from hooks.base import Hooks
from hooks.events import HookReply, RequestFacts
from tusd_server.errors import UploadError, UploadNotFound
from tusd_server.locks import FileLocker
from tusd_server.storage.filesystem import FilesystemStore
from tusd_server.uploads.body import PortableBody
from tusd_server.uploads.chunked import Chunked
from tusd_server.uploads.service import Uploads

pause = float(sys.argv[6])
data, upload, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
whole = (data / "whole.bin").read_bytes()

class Told(Hooks):
    def post_finish(self, event):
        print("finished", event.upload.offset, flush=True)
        return HookReply()

class Trickling(io.BytesIO):
    def read(self, size=-1):
        time.sleep(pause)
        return super().read(size)

store = FilesystemStore(data / "store", durability="none")
locker = FileLocker(data / "store", data / "requests", timeout_seconds=20.0)
chunked = Chunked(Uploads(store, locker, Told(), max_size=10_000_000))
request = RequestFacts("", "", "")
if upload == "new":
    print(chunked.begin("alice", len(whole), int(sys.argv[5]), "", request).info.id)
    sys.exit()

def send(indexes):
    for index in indexes:
        while True:
            size = int(sys.argv[5])
            body = PortableBody(Trickling(whole[index * size:(index + 1) * size]), None)
            try:
                chunked.put(upload, "alice", index, body, request)
                break
            except UploadNotFound:
                print("gone", flush=True)
                return
            except UploadError as error:
                print("again", index, error, flush=True)

indexes = list(range(-(-len(whole) // int(sys.argv[5]))))
random.Random(seed).shuffle(indexes)
threads = [threading.Thread(target=send, args=(indexes[n::3],)) for n in range(3)]
print("began", flush=True)
for thread in threads: thread.start()
for thread in threads: thread.join()
print("done", flush=True)
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "whole.bin").write_bytes(random.Random(7).randbytes(SIZE))
    return tmp_path


def start(
    data: Path, upload: str, seed: int = 0, how: str = "threads", pause: float = 0.004
) -> subprocess.Popen[str]:
    """A process that sends all chunks; so many seconds lie between the blocks of each."""
    numbers = [str(seed), how, str(CHUNK), str(pause)]
    command = [sys.executable, "-c", PUTS, str(data), upload, *numbers]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def begin(data: Path) -> str:
    with start(data, "new") as child:
        return child.communicate(timeout=SECONDS)[0].strip()


@contextmanager
def senders(
    data: Path, upload: str, *hows: str, pause: float = 0.004
) -> Iterator[list[subprocess.Popen[str]]]:
    children = [start(data, upload, seed, how, pause) for seed, how in enumerate(hows)]
    try:
        yield children
    finally:
        for child in children:
            child.kill()
            child.communicate(timeout=SECONDS)


def stored(data: Path, upload: str) -> tuple[bool, bytes]:
    store = FilesystemStore(data / "store", durability="none")
    info = store.look(upload)
    return info.finished, store.path(info).read_bytes()


def test_every_process_sends_every_chunk(data: Path) -> None:
    """Each chunk comes four times, in another order each; no chunk is lost, none is refused."""
    upload = begin(data)
    with senders(data, upload, "threads", "gevent", "threads", "gevent") as children:
        said = [child.communicate(timeout=SECONDS)[0] for child in children]
    assert [child.returncode for child in children] == [0] * 4
    whole = (data / "whole.bin").read_bytes()
    finished, content = stored(data, upload)
    assert finished
    assert hashlib.sha256(content).digest() == hashlib.sha256(whole).digest()
    assert f"finished {SIZE}" in "".join(said)
    assert list((data / "requests").iterdir()) == []


@pytest.mark.parametrize("seed", range(3))
def test_processes_that_are_killed_leave_what_was_told(data: Path, seed: int) -> None:
    """Killed at random in the midst of chunks; whatever they left, others complete it."""
    upload = begin(data)
    rng = random.Random(seed)
    for _ in range(4):
        with senders(data, upload, "threads", "gevent") as children:
            for child in children:
                assert child.stdout is not None
                assert child.stdout.readline() == "began\n"
            time.sleep(rng.uniform(0.0, 0.1))
            for child in children:
                os.kill(child.pid, signal.SIGKILL)
    with senders(data, upload, "threads", "gevent") as children:
        for child in children:
            child.communicate(timeout=SECONDS)
    finished, content = stored(data, upload)
    assert finished
    assert content == (data / "whole.bin").read_bytes()


def test_delete_stops_those_who_write_chunks_in_all_processes(data: Path) -> None:
    """Each stops behind the block under way, and finds no upload when it tries again."""
    upload = begin(data)
    store = FilesystemStore(data / "store", durability="none")
    with senders(data, upload, "threads", "gevent", pause=2.0) as children:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "began\n"
        locker = FileLocker(data / "store", data / "requests", timeout_seconds=20.0)
        wait_until(lambda: locker.held(upload), "A chunk on its way")
        uploads = Uploads(store, locker, Hooks(), max_size=SIZE)
        uploads.terminate(upload, "alice", body_of(b""), RequestFacts("", "", ""))
        said = [child.communicate(timeout=SECONDS)[0] for child in children]
    assert all(lines.count("gone") == 3 for lines in said)
    assert [path.name for path in (data / "store").iterdir()] == [".tusd-server"]
    assert list((data / "store" / ".tusd-server" / "chunks").iterdir()) == []
