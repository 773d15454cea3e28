"""python -m bench pipeline: what isolation and durability cost, against the bare libraries."""

import argparse
import hashlib
import io
import json
import multiprocessing
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import requests
from PIL import Image, ImageOps

from bench import machine
from bench.procfs import cpu_seconds, memory_bytes, memory_kind, tree
from bench.servers import ours
from bench.target import Target
from bench.wire import LoadFailed
from processing.pictures import placeholder

_SIDE = 640
_QUALITY = 80
_READY_WITHIN_SECONDS = 120.0
_POLL_SECONDS = 0.005
_SAMPLE_SECONDS = 0.02


@dataclass(frozen=True)
class Figures:
    """Of one turn: of photos by the dozen, then of one photo and one video alone."""

    images_per_second: float
    cpu_per_image: float
    image_seconds: float
    video_seconds: float
    memory_mib: float


_ROWS = {
    "images_per_second": ("12 MP JPEGs", "images per second"),
    "cpu_per_image": ("12 MP JPEGs", "CPU s per image"),
    "image_seconds": ("one 12 MP JPEG, from the last byte to `ready`", "s"),
    "video_seconds": ("one video of 20 s in 1080p, from the last byte to `ready`", "s"),
    "memory_mib": ("all of these: peak of the memory", "MiB"),
}


def main(arguments: Sequence[str]) -> int:
    """Measure in turns and print a table; 1 when something failed."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="tusd-bench-", dir=options.tmp) as name:
        directory = Path(name)
        photo, video = make_photo(directory / "photo.jpg"), make_video(directory / "video.mp4")
        turns: dict[str, list[Figures]] = {"ours": [], "bare": []}
        for turn in range(options.repeat):
            print(f"pipeline {turn + 1}/{options.repeat}", file=sys.stderr, flush=True)
            try:
                turns["ours"].append(_ours(directory, photo, video, options.images))
            except LoadFailed as failure:
                print(failure, file=sys.stderr)
                return 1
            turns["bare"].append(_bare(directory, photo, video, options.images))
        facts = [
            f"Medians of {options.repeat} turns of {options.images} photos with [least to most].",
            f"The photo has {photo.stat().st_size} bytes, the video {video.stat().st_size}.",
            *machine.facts(["pipeline", *arguments], options.tmp),
        ]
    print(table(turns))
    print("\n".join(f"- {fact}" for fact in facts))
    return 0


def table(turns: dict[str, list[Figures]]) -> str:
    """The figures in Markdown, with the ratio of the medians."""
    lines = [
        "| load | unit | ours | bare libraries | ratio |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for name, (load, unit) in _ROWS.items():
        values = [[getattr(each, name) for each in turns[side]] for side in ("ours", "bare")]
        ratio = statistics.median(values[0]) / statistics.median(values[1])
        shown = " | ".join(_spread(each) for each in values)
        lines.append(f"| {load} | {unit} | {shown} | {ratio:.2f} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3g} [{min(values):.3g} to {max(values):.3g}]"


def _ours(directory: Path, photo: Path, video: Path, images: int) -> Figures:
    """Through the real server and its real worker, with what is durable by default."""
    server = ours(1, "finish")
    command = [word for word in server.command if word != "--no-worker"]
    with (
        tempfile.TemporaryDirectory(dir=directory) as place,
        replace(server, command=command).running(Path(place)) as target,
        _Client(target) as client,
    ):
        client.ready(client.send(photo))
        worker = _worker(target)
        with _peak_of(worker) as peak:
            began, spent = time.perf_counter(), cpu_seconds([worker])
            for sent in [client.send(photo) for _ in range(images)]:
                client.ready(sent)
            seconds, spent = time.perf_counter() - began, cpu_seconds([worker]) - spent
            alone = [_timed(client, each) for each in (photo, photo, photo, video)]
        one = statistics.median(alone[:3])
        return Figures(images / seconds, spent / images, one, alone[3], peak())


class _Client:
    def __init__(self, target: Target) -> None:
        self._root = f"http://{target.endpoint.host}:{target.endpoint.port}"
        self._session = requests.Session()

    def __enter__(self) -> "_Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def send(self, file: Path) -> str:
        """Upload in one request; the id of the medium."""
        content = file.read_bytes()
        headers = {
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(len(content)),
            "Upload-Metadata": f"filename {b64encode(file.name.encode()).decode()}",
            "Content-Type": "application/offset+octet-stream",
        }
        answer = self._session.post(f"{self._root}/files/", data=content, headers=headers)
        if answer.status_code != 201:
            raise LoadFailed(f"A POST was answered {answer.status_code}, not 201.")
        return answer.headers["Upload-Media-Id"]

    def ready(self, media_id: str) -> None:
        """Wait until the medium is ready."""
        deadline = time.monotonic() + _READY_WITHIN_SECONDS
        while (status := self._status(media_id)) in ("received", "processing"):
            if time.monotonic() > deadline:
                raise LoadFailed(f"A medium was not ready in {_READY_WITHIN_SECONDS:.0f} s.")
            time.sleep(_POLL_SECONDS)
        if status != "ready":
            raise LoadFailed(f"A medium ended as {status}.")

    def _status(self, media_id: str) -> str:
        found: dict[str, Any] = self._session.get(f"{self._root}/api/v1/media/{media_id}").json()
        return str(found["status"])


def _timed(client: _Client, file: Path) -> float:
    sent = client.send(file)
    began = time.perf_counter()
    client.ready(sent)
    return time.perf_counter() - began


def _worker(target: Target) -> int:
    """The worker's process, which `serve` starts beside its web processes."""
    for pid in sorted(tree(target.pids)):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"worker" in words:
            return pid
    raise LoadFailed("The server has no worker.")


def _bare(directory: Path, photo: Path, video: Path, images: int) -> Figures:
    """The same libraries and programs without a sandbox, a record or a sync.

    In a process of their own, so that watching them costs them nothing.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_bare_work, args=(there, directory, photo, video, images))
    process.start()
    pid = process.pid or 0
    try:
        here.recv()
        with _peak_of(pid) as peak:
            began, spent = time.perf_counter(), cpu_seconds([pid])
            here.send("photos")
            here.recv()
            seconds, spent = time.perf_counter() - began, cpu_seconds([pid]) - spent
            began = time.perf_counter()
            here.send("video")
            here.recv()
            alone = time.perf_counter() - began
    finally:
        process.kill()
        process.join()
    return Figures(images / seconds, spent / images, seconds / images, alone, peak())


def _bare_work(parent: Connection, directory: Path, photo: Path, video: Path, images: int) -> None:
    _bare_photo(photo, directory / "warm.jpg")
    parent.send("ready")
    parent.recv()
    for number in range(images):
        _bare_photo(photo, directory / f"{number}.jpg")
    parent.send("done")
    parent.recv()
    _bare_video(video, directory / "video.jpg")
    parent.send("done")
    parent.recv()


def _bare_photo(source: Path, target: Path) -> None:
    with source.open("rb") as file:
        hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        image: Image.Image = Image.open(file, formats=("JPEG",))
        image.draft("RGB", (_SIDE, _SIDE))
        image.thumbnail((_SIDE, _SIDE), reducing_gap=2.0)
        image = ImageOps.exif_transpose(image)
    image.save(target, "JPEG", quality=_QUALITY)
    placeholder(image)


def _bare_video(source: Path, target: Path) -> None:
    with source.open("rb") as file:
        hashlib.file_digest(file, "sha256").hexdigest()
    probe = ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json"]
    json.loads(subprocess.run([*probe, str(source)], capture_output=True, check=True).stdout)
    seek = ["ffmpeg", "-v", "error", "-y", "-threads", "2", "-ss", "1", "-i", str(source)]
    scale = ["-frames:v", "1", "-vf", f"scale={_SIDE}:-1", str(target)]
    subprocess.run([*seek, *scale], check=True, stdin=subprocess.DEVNULL)
    with Image.open(target) as image:
        placeholder(image.convert("RGB"))


@contextmanager
def _peak_of(pid: int) -> Iterator[Callable[[], float]]:
    """Watch a process with its children; what is yielded tells their highest MiB so far."""
    kind, highest, over = memory_kind([pid]), 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not over.wait(_SAMPLE_SECONDS):
            highest = max(highest, memory_bytes([pid], kind))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: highest / 1024 / 1024
    finally:
        over.set()
        thread.join()


def make_photo(path: Path) -> Path:
    """12 megapixels with detail and noise, about as large as a phone's."""
    noise = Image.effect_noise((1008, 756), 60).resize((4032, 3024), Image.Resampling.BICUBIC)
    bands = noise, noise.rotate(180), noise.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    buffer = io.BytesIO()
    Image.merge("RGB", bands).save(buffer, "JPEG", quality=90)
    path.write_bytes(buffer.getvalue())
    return path


def make_video(path: Path) -> Path:
    """20 s of 1080p in H.264 with sound; LoadFailed without ffmpeg."""
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        raise LoadFailed("ffmpeg and ffprobe are needed to make and to measure a video.")
    picture = ["-f", "lavfi", "-i", "testsrc2=duration=20:size=1920x1080:rate=30"]
    sound = ["-f", "lavfi", "-i", "sine=frequency=440:duration=20"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    command = ["ffmpeg", "-v", "error", "-y", *picture, *sound, *coding, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench pipeline", description=__doc__)
    add = parser.add_argument
    add("--images", type=int, default=40, help="photos of one turn (40)")
    add("--repeat", type=int, default=3, help="turns of which medians are shown (3)")
    add("--tmp", type=Path, default=Path(tempfile.gettempdir()), help="where the data goes")
    return parser.parse_args(arguments)
