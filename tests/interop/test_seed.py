"""A client written for the seed's media API, word for word, and files as large as it allows."""

import concurrent.futures
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from tusclient.client import TusClient

from tests import media
from tests.conftest import Start
from tests.forms import FORM, form
from tests.live import Live
from tests.services import wait_until

API = "/api/v1/media"
MIB = 1024 * 1024
LARGE_BYTES = 524_288_000
"""The largest video of the seed: 500 MB in its walk-through."""
CHUNK_BYTES = 5 * MIB
PATIENCE_SECONDS = 60.0


class Caller:
    """A user of the JSON API, by requests as the seed's tests are."""

    def __init__(self, server: Live, user: str = "alice", **claims: object) -> None:
        self.server = server
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {server.token(user, **claims)}"

    def post(self, path: str, **kwargs: Any) -> requests.Response:
        return self.session.post(f"{self.server.url}{API}/{path}", timeout=60, **kwargs)

    def get(self, path: str) -> requests.Response:
        return self.session.get(f"{self.server.url}{API}/{path}", timeout=60)

    def begin(self, size: int, chunk_size: int, **more: object) -> str:
        wanted = {"file_name": "clip.mp4", "file_size": size, "content_type": "video/mp4"}
        answer = self.post("upload/init", json={**wanted, "chunk_size": chunk_size, **more})
        assert answer.status_code == 200, answer.text
        upload: str = answer.json()["upload_id"]
        return upload

    def chunk(self, upload: str, index: int, content: bytes) -> dict[str, Any]:
        fields = {"upload_id": upload, "chunk_index": index}
        answer = self.post("upload/chunk", data=fields, files={"chunk": content})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def medium(self, media_id: str) -> dict[str, Any]:
        answer = self.get(media_id)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def settled(self, media_id: str, *statuses: str) -> dict[str, Any]:
        """The medium in one of these states, of which it is sure to come to one."""
        wait_until(
            lambda: self.medium(media_id)["status"] in statuses,
            f"the medium's coming to {statuses}",
            PATIENCE_SECONDS,
        )
        return self.medium(media_id)


@pytest.fixture
def alice(live: Live) -> Caller:
    return Caller(live)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return media.make_mp4(tmp_path / "clip.mp4")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return media.make_phone_jpeg(tmp_path / "photo.jpg", width=800, height=600)


# The seed's two tests. What they take for granted stands before them: a client whose URLs are
# paths, the token, the bytes of a video, the upload and the publication of a post.


class Client:
    """The `client` of the seed's tests."""

    def __init__(self, server: Live) -> None:
        self._server = server

    def post(self, path: str, **kwargs: Any) -> requests.Response:
        return requests.post(f"{self._server.url}{path}", timeout=60, **kwargs)


# fmt: off  (word for word)
def test_simple_upload(live: Live, clip: Path) -> None:
    client, token, video_data = Client(live), live.token(), clip.read_bytes()

    response = client.post(
        "/api/v1/media/upload/simple",
        files={"file": ("test.mp4", video_data)},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert response.status_code == 200
    assert response.json()["media_id"]
    assert response.json()["thumbnail_url"]


# fmt: on


class Posts:
    """The `post_service` of the seed's tests: the caller of `published`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def publish_now(self, post: str) -> None:
        url = f"{self._caller.server.url}/api/v1/posts/{post}/published"
        answer = self._caller.session.post(url, timeout=60)
        assert answer.status_code == 200, answer.text


def test_auto_cleanup_after_publish(
    live: Live, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, post = Caller(live), "post-cleanup"
    post_service = Posts(alice)

    def upload_video() -> dict[str, Any]:
        answer = alice.post(
            "upload/simple", files={"file": ("clip.mp4", clip.read_bytes())}, data={"post_id": post}
        )
        return alice.settled(answer.json()["media_id"], "registered")

    monkeypatch.chdir(live.data_dir)

    # fmt: off
    # Upload media
    media = upload_video()
    assert Path(media['file_path']).exists()

    # Publish post
    post_service.publish_now(post)

    # Verify file deleted
    assert not Path(media['file_path']).exists()
    # fmt: on


CHUNKED = r"""
# 1. Initialize
curl -X POST /api/v1/media/upload/init \
  -H "Authorization: Bearer $JWT" \
  -d '{
    "file_name": "large_video.mp4",
    "file_size": 524288000,
    "content_type": "video/mp4",
    "chunk_size": 5242880
  }'
# Response: {upload_id: "abc-123", total_chunks: 100}

# 2. Upload chunks (parallel or sequential)
for i in {0..99}; do
  curl -X POST /api/v1/media/upload/chunk \
    -H "Authorization: Bearer $JWT" \
    -F "upload_id=abc-123" \
    -F "chunk_index=$i" \
    -F "chunk=@chunk_$i.bin"
done

# 3. Poll progress
curl /api/v1/media/upload/abc-123/status \
  -H "Authorization: Bearer $JWT"
# Response: {progress: 100, status: "completed"}

# 4. Finalize
curl -X POST /api/v1/media/upload/abc-123/finalize \
  -H "Authorization: Bearer $JWT" \
  -d '{"post_id": "post-456"}'
# Response: MediaOut with ID, file_path, thumbnail_url
"""
SIMPLE = r"""
curl -X POST /api/v1/media/upload/simple \
  -H "Authorization: Bearer $JWT" \
  -F "file=@video.mp4" \
  -F "post_id=post-456" \
  -F "media_type=video"
# Response: {media_id, file_path, thumbnail_url, duration: 45}
"""
IMAGES = r"""
curl -X POST /api/v1/media/upload/images \
  -H "Authorization: Bearer $JWT" \
  -F "images=@img1.jpg" \
  -F "images=@img2.jpg" \
  -F "images=@img3.jpg" \
  -F "post_id=post-456"
# Response: [MediaOut, MediaOut, MediaOut]
"""


def shell(script: str, server: Live, folder: Path, user: str, **said: str) -> str:
    """Run lines of the seed's walk-through; its paths get our host, its ids those of `said`."""
    for name, text in said.items():
        script = script.replace(name.replace("_", "-"), text)
    # curl must say where to, and neither its progress nor a 4xx may go unseen.
    script = script.replace("curl ", "curl -sS --fail-with-body ")
    script = script.replace(" /api/", f" {server.url}/api/")
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env={**os.environ, "JWT": server.token(user)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def large_mp4(path: Path, clip: Path, size: int = LARGE_BYTES) -> Path:
    """A valid MP4 of exactly this size, most of it a `free` box of noise that repeats."""
    shutil.copy(clip, path)
    filler = size - path.stat().st_size
    noise = random.Random(4).randbytes(MIB)
    with path.open("ab") as file:
        file.write(filler.to_bytes(4, "big") + b"free")
        for left in range(filler - 8, 0, -MIB):
            file.write(noise[: min(MIB, left)])
    assert path.stat().st_size == size
    return path


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("large")
    clip = media.make_mp4(folder / "clip.mp4")
    yield large_mp4(folder / "large_video.mp4", clip)
    shutil.rmtree(folder)


def split(file: Path, folder: Path, size: int) -> int:
    """Write `chunk_0.bin` and so on; how many."""
    count = -(-file.stat().st_size // size)
    with file.open("rb") as source:
        for index in range(count):
            (folder / f"chunk_{index}.bin").write_bytes(source.read(size))
    return count


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_walk_through_of_chunks(live: Live, large: Path, tmp_path: Path) -> None:
    """Four blocks of curl, each word for word; only the ids are those that the server gave."""
    assert split(large, tmp_path, CHUNK_BYTES) == 100
    begin, send, poll, finalize = re.split(r"(?=# [234]\.)", CHUNKED)
    begun = json.loads(shell(begin, live, tmp_path, "walker"))
    assert (begun["total_chunks"], begun["chunk_size"]) == (100, CHUNK_BYTES)
    named = {"abc_123": begun["upload_id"]}
    told = shell(send, live, tmp_path, "walker", **named)
    assert told.count('"received"') == 99
    assert told.count('"completed"') == 1
    status = json.loads(shell(poll, live, tmp_path, "walker", **named))
    assert (status["progress"], status["status"]) == (100, "completed")
    medium = json.loads(shell(finalize, live, tmp_path, "walker", **named, post_456="walk-1"))
    found = Caller(live, "walker").settled(medium["id"], "registered")
    assert found["thumbnail_url"]
    assert found["post_id"] == "walk-1"
    assert stored_digest(live, found) == digest(large)
    shutil.rmtree(tmp_path)


def test_the_walk_through_of_a_simple_upload(live: Live, clip: Path, tmp_path: Path) -> None:
    clip.rename(tmp_path / "video.mp4")
    found = json.loads(shell(SIMPLE, live, tmp_path, "walker", post_456="walk-2"))
    assert {"media_id", "file_path", "thumbnail_url", "duration"} <= set(found)
    assert found["duration"] == pytest.approx(2, abs=0.1)
    assert found["media_type"] == "video"
    assert requests.get(found["thumbnail_url"], timeout=20).status_code == 200
    assert (live.data_dir / found["file_path"]).exists()


def test_the_walk_through_of_several_images(live: Live, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        media.make_jpeg(tmp_path / f"img{number}.jpg", width=300 + number)
    found = json.loads(shell(IMAGES, live, tmp_path, "walker", post_456="walk-3"))
    assert [each["file_name"] for each in found] == ["img1.jpg", "img2.jpg", "img3.jpg"]
    assert [each["width"] for each in found] == [301, 302, 303]
    assert all(each["thumbnail_url"] and each["post_id"] == "walk-3" for each in found)


# What one process of a client does: its share of the chunks, in an order of its own.
SENDER = """
import random, sys, requests
url, token, upload, path, size, share, shares, count = sys.argv[1:]
size, share, shares, count = int(size), int(share), int(shares), int(count)
mine = list(range(share, count, shares))
random.Random(share).shuffle(mine)
session = requests.Session()
session.headers["Authorization"] = f"Bearer {token}"
with open(path, "rb") as file:
    for index in mine + mine[:2]:
        file.seek(index * size)
        answer = session.post(
            url + "/api/v1/media/upload/chunk",
            data={"upload_id": upload, "chunk_index": index},
            files={"chunk": file.read(size)},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
"""


def send_in_parallel(caller: Caller, upload: str, file: Path, size: int, shares: int) -> None:
    """Several processes, each with every `shares`-th chunk, two of which it sends again."""
    count = -(-file.stat().st_size // size)
    token = caller.server.token()
    said = [caller.server.url, token, upload, str(file), str(size)]
    senders = [
        subprocess.Popen(
            [sys.executable, "-c", SENDER, *said, str(share), str(shares), str(count)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for share in range(shares)
    ]
    ends = [sender.communicate(timeout=200)[1] for sender in senders]
    assert [sender.returncode for sender in senders] == [0] * shares, ends


class Memory:
    """Watches the memory that the web processes have to themselves, in bytes."""

    def __init__(self, server: Live) -> None:
        self._pids = server.web_pids()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.before = self._now()
        self.peak = self.before

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def growth(self) -> list[int]:
        return [peak - before for peak, before in zip(self.peak, self.before, strict=True)]

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.peak = [max(pair) for pair in zip(self.peak, self._now(), strict=True)]

    def _now(self) -> list[int]:
        return [_anonymous(pid) for pid in self._pids]


def _anonymous(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def report(what: str, size: int, seconds: float, memory: Memory) -> None:
    """Figures for whoever runs the tests with -s."""
    peaks = ", ".join(
        f"{before / MIB:.1f} -> {peak / MIB:.1f} MiB"
        for before, peak in zip(memory.before, memory.peak, strict=True)
    )
    print(f"\n{what}: {size} bytes in {seconds:.1f} s; web processes {peaks}")


def test_chunks_out_of_order_from_several_processes(
    live: Live, alice: Caller, clip: Path, tmp_path: Path
) -> None:
    """Against two web processes; every chunk but the last is the smallest that is allowed."""
    video = large_mp4(tmp_path / "video.mp4", clip, 3 * MIB + 12_345)
    upload = alice.begin(video.stat().st_size, 65_536)
    send_in_parallel(alice, upload, video, 65_536, shares=4)
    status = alice.get(f"upload/{upload}/status").json()
    assert (status["status"], status["missing_chunks"]) == ("completed", [])
    answer = alice.post(f"upload/{upload}/finalize", json={"post_id": "parallel"})
    assert answer.status_code == 200, answer.text
    assert stored_digest(live, answer.json()) == digest(video)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_large_video_in_parallel_chunks_costs_no_memory(
    live: Live, alice: Caller, large: Path
) -> None:
    upload = alice.begin(LARGE_BYTES, CHUNK_BYTES)
    started = time.monotonic()
    with Memory(live) as memory:
        send_in_parallel(alice, upload, large, CHUNK_BYTES, shares=4)
    report("chunks by 4 processes", LARGE_BYTES, time.monotonic() - started, memory)
    assert max(memory.growth) < 16 * MIB
    answer = alice.post(f"upload/{upload}/finalize", json={})
    assert answer.status_code in (200, 202), answer.text
    found = alice.settled(answer.json()["id"], "ready")
    assert stored_digest(live, found) == digest(large)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_large_video_by_tus_costs_no_memory(live: Live, alice: Caller, large: Path) -> None:
    client = TusClient(f"{live.url}/files/", headers={"Authorization": f"Bearer {live.token()}"})
    started = time.monotonic()
    with large.open("rb") as stream, Memory(live) as memory:
        uploader = client.uploader(
            file_stream=stream, chunk_size=50 * MIB, metadata={"filename": large.name}
        )
        uploader.upload()
    report("tus", LARGE_BYTES, time.monotonic() - started, memory)
    assert max(memory.growth) < 16 * MIB
    assert uploader.url is not None
    upload = uploader.url.rpartition("/")[2]
    answer = alice.post(f"upload/{upload}/finalize", json={"post_id": "by-tus"})
    assert answer.status_code in (200, 202), answer.text
    found = alice.settled(answer.json()["id"], "registered")
    assert stored_digest(live, found) == digest(large)


def test_a_simple_upload_costs_no_memory(live: Live, alice: Caller, clip: Path) -> None:
    video = large_mp4(clip.with_name("large.mp4"), clip, 40 * MIB)
    with Memory(live) as memory:
        answer = alice.post(
            "upload/simple",
            data=form(("file", video.read_bytes(), "large.mp4", None), ("post_id", "simple")),
            headers={"Content-Type": FORM},
        )
    assert answer.status_code == 200, answer.text
    assert answer.json()["post_id"] == "simple"
    assert stored_digest(live, answer.json()) == digest(video)
    assert max(memory.growth) < 16 * MIB


def test_one_image_of_three_is_bad(alice: Caller, photo: Path) -> None:
    small = media.make_jpeg(photo.with_name("small.jpg"), width=50, height=50)
    answer = alice.post(
        "upload/images",
        files=[
            ("images", ("a.jpg", photo.read_bytes())),
            ("images", ("b.jpg", small.read_bytes())),
            ("images", ("c.jpg", b"plain text")),
        ],
        data={"post_id": "one-bad"},
    )
    assert answer.status_code == 207, answer.text
    good, rejected, refused = answer.json()
    assert good["status"] in ("ready", "registered")
    assert good["thumbnail_url"]
    assert rejected["error"]["status"] == 422
    assert rejected["error"]["code"] == "image_too_small"
    assert alice.medium(rejected["error"]["media_id"])["status"] == "rejected"
    assert refused["error"]["code"] == "type_not_allowed"


def test_all_or_nothing_keeps_nothing_for_one_bad_image(alice: Caller, photo: Path) -> None:
    small = media.make_jpeg(photo.with_name("small.jpg"), width=50, height=50)
    answer = alice.post(
        "upload/images",
        files=[
            ("images", ("a.jpg", photo.read_bytes())),
            ("images", ("b.jpg", small.read_bytes())),
        ],
        data={"post_id": "nothing", "all_or_nothing": "true"},
    )
    assert answer.status_code == 422, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == ["images.1"]
    listed = alice.session.get(f"{alice.server.url}{API}?limit=2", timeout=20).json()["items"]
    assert {each["file_name"] for each in listed} == {"a.jpg", "b.jpg"}
    assert {each["status"] for each in listed} == {"deleted"}
    assert all(each["post_id"] is None and each["file_path"] is None for each in listed)


def test_all_or_nothing_keeps_all_good_images(alice: Caller, photo: Path) -> None:
    answer = alice.post(
        "upload/images",
        files=[("images", (f"{n}.jpg", photo.read_bytes())) for n in range(10)],
        data={"post_id": "all-good", "all_or_nothing": "true"},
    )
    assert answer.status_code == 200, answer.text
    assert [each["post_id"] for each in answer.json()] == ["all-good"] * 10
    for each in answer.json():
        alice.settled(each["id"], "registered")


def test_finalizing_at_once_is_finalizing_once(alice: Caller, clip: Path) -> None:
    content = clip.read_bytes()
    upload = alice.begin(len(content), 65_536)
    for index in reversed(range(-(-len(content) // 65_536))):
        alice.chunk(upload, index, content[index * 65_536 : (index + 1) * 65_536])
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(alice.post, f"upload/{upload}/finalize", json={"post_id": "once"})
            for _ in range(4)
        ]
        answers = [each.result() for each in asked]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    alice.settled(answers[0].json()["id"], "registered")
    found = alice.session.get(f"{alice.server.url}/api/v1/posts/once", timeout=20).json()
    assert len(found["media"]) == 1


def test_a_medium_is_deleted_whatever_its_worker_does(alice: Caller, clip: Path) -> None:
    for _ in range(5):
        answer = alice.post("upload/simple", files={"file": ("gone.mp4", clip.read_bytes())})
        found = alice.session.delete(
            f"{alice.server.url}{API}/{answer.json()['id']}", timeout=20
        ).json()
        assert (found["status"], found["deleted_because"]) == ("deleted", "asked")
    upload = alice.begin(clip.stat().st_size, 64 * MIB)
    alice.chunk(upload, 0, clip.read_bytes())
    media_id = alice.get(f"upload/{upload}/status").json()["media"]["id"]
    gone = alice.session.delete(f"{alice.server.url}{API}/{media_id}", timeout=20)
    assert gone.json()["status"] == "deleted"
    folder = alice.server.data_dir
    wait_until(
        lambda: not list(folder.glob(f"{upload}*")) and not list(folder.rglob("*gone*.mp4")),
        "the end of the deleted files",
        PATIENCE_SECONDS,
    )
    assert alice.medium(media_id)["status"] == "deleted"


def test_staff_cleans_up_what_has_expired(start_server: Start) -> None:
    server = start_server(workers=1, expire_unfinished_seconds=1)
    alice, boss = Caller(server), Caller(server, "boss", staff=True)
    upload = alice.begin(1_000_000, 65_536)
    assert alice.post("cleanup/expired").status_code == 403
    wait_until(
        lambda: boss.post("cleanup/expired", json={"dry_run": True}).json()["expired"] == 1,
        "the expiry of an upload",
    )
    assert (server.data_dir / upload).exists()
    assert boss.post("cleanup/expired").json()["expired"] == 1
    assert not (server.data_dir / upload).exists()
    assert alice.get(f"upload/{upload}/status").status_code == 410


def test_a_client_that_waits_does_not_hold_up_others(start_server: Start, clip: Path) -> None:
    """Without a worker the answer comes when the waiting is over, as 202."""
    server = start_server(workers=1, answer_wait_seconds=2)
    alice = Caller(server)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        waiting = pool.submit(
            alice.post, "upload/simple", files={"file": ("a.mp4", clip.read_bytes())}
        )
        quickest = min(_seconds(lambda: Caller(server).get("supported-formats")) for _ in range(5))
        assert not waiting.done()
        answer = waiting.result()
    assert answer.status_code == 202
    assert answer.json()["status"] == "received"
    assert 2 <= time.monotonic() - started < 20
    assert quickest < 1


def _seconds(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def stored_digest(server: Live, medium: dict[str, Any]) -> str:
    """Of the file as it lies on the shelf."""
    return digest(server.data_dir / medium["file_path"])
