"""The five loads: each drives one server and returns its figures by metric name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.body import BLOCK, GIB, MIB, blocks
from bench.floor import floor_cpu_seconds
from bench.meter import Meter, percentile
from bench.pages import touch
from bench.pool import Script, run_scripts
from bench.procfs import MemoryKind, memory_bytes
from bench.slow import PIECE_BYTES, Probe, trickle
from bench.wire import Endpoint, Line, LoadFailed, Reply, creation, deletion, head, patch_head

SMALL_BYTES = 4096
CHUNK_BYTES = 5 * MIB
_WARM_UP_SHARE = 8


@dataclass(frozen=True)
class Sizes:
    """How much of each load; a GiB in all for bulk and chunks, so that a CPU tick is 1 to 2 %."""

    bulk_bytes: int = 512 * MIB
    bulk_rounds: int = 2
    chunked_bytes: int = 256 * MIB
    chunked_rounds: int = 4
    uploads: int = 3000
    heads: int = 6000
    connections: int = 32
    slow_uploads: int = 2000
    slow_seconds: int = 16

    def divided(self, by: int) -> "Sizes":
        """The same loads, `by` times smaller; the slow ones last half as long."""
        return Sizes(
            bulk_bytes=self.bulk_bytes // by,
            bulk_rounds=self.bulk_rounds,
            chunked_bytes=self.chunked_bytes // by,
            chunked_rounds=self.chunked_rounds,
            uploads=self.uploads // by,
            heads=self.heads // by,
            connections=self.connections,
            slow_uploads=self.slow_uploads // by,
            slow_seconds=self.slow_seconds // 2,
        )


@dataclass(frozen=True)
class Target:
    """A running server: where it takes uploads, and the roots of its process tree.

    `scratch` is a directory for the driver's own use.
    """

    name: str
    endpoint: Endpoint
    pids: tuple[int, ...]
    memory_kind: MemoryKind
    scratch: Path
    keeps_data: bool = False


@dataclass(frozen=True)
class Outcome:
    """Figures by metric name; sentences about what failed; how busy the driver was (0 to 1)."""

    figures: Mapping[str, float]
    failures: tuple[str, ...] = ()
    driver_share: float = 0.0


def bulk(target: Target, sizes: Sizes) -> Outcome:
    """Whole files, one PATCH each."""
    return _files(target, "bulk_cpu", [sizes.bulk_bytes] * sizes.bulk_rounds, GIB)


def chunks(target: Target, sizes: Sizes) -> Outcome:
    """Whole files in PATCHes of 5 MiB on one connection."""
    lengths = [sizes.chunked_bytes] * sizes.chunked_rounds
    return _files(target, "chunks_cpu", lengths, CHUNK_BYTES)


def small(target: Target, sizes: Sizes) -> Outcome:
    """4 KiB files over many connections: POST then PATCH, and all in one POST."""
    in_two = _small_uploads(target, sizes, _upload_in_two, "small_two")
    failures = in_two.failures
    try:
        in_one = _small_uploads(target, sizes, _upload_in_one, "small_one")
    except LoadFailed as failure:
        return Outcome(in_two.figures, (*failures, str(failure)), in_two.driver_share)
    figures = {**in_two.figures, **in_one.figures}
    return Outcome(figures, failures, max(in_two.driver_share, in_one.driver_share))


def heads(target: Target, sizes: Sizes) -> Outcome:
    """HEAD over many connections, each on an unfinished upload of its own."""
    half = BLOCK[: SMALL_BYTES // 2]
    paths: list[str] = []
    _run(target, (_begin(target, paths, half) for _ in range(sizes.connections)), sizes)

    def scripts(count: int) -> Iterator[Script]:
        for number in range(count):
            yield _ask_offset(target, paths[number % len(paths)], len(half))

    _run(target, scripts(sizes.heads // _WARM_UP_SHARE), sizes)
    meter = Meter(target.pids)
    seconds = _run(target, scripts(sizes.heads), sizes)
    meter.stop()
    figures = {
        "head_cpu": meter.cpu * 1000 / sizes.heads,
        "head_p99": percentile(seconds, 99) * 1000,
    }
    _remove(target, paths)
    return Outcome(figures, driver_share=meter.driver_share)


def slow(target: Target, sizes: Sizes) -> Outcome:
    """Thousands of slow uploads at once, and new POSTs meanwhile."""
    length = sizes.slow_seconds * PIECE_BYTES
    paths: list[str] = []
    _run(target, (_begin(target, paths, None, length) for _ in range(sizes.slow_uploads)), sizes)
    held: list[int] = []
    with closing(Probe(target.endpoint)) as probe:
        before = memory_bytes(target.pids, target.memory_kind)
        meter = Meter(target.pids)
        probe.begin()
        trickled = trickle(
            target.endpoint,
            paths,
            sizes.slow_seconds,
            lambda: held.append(memory_bytes(target.pids, target.memory_kind)),
        )
        posts, probe_failures = probe.end()
        meter.stop()
    _remove(target, paths)
    figures = {
        "slow_cpu": meter.cpu,
        "slow_failed": float(len(trickled.failures) + len(probe_failures)),
    }
    seconds = [took for began, took in posts if trickled.began <= began <= trickled.ended]
    # Empty when the server cut all of them off before they were under way together.
    if held and seconds:
        figures["slow_post_p99"] = percentile(seconds, 99) * 1000
        figures["slow_memory"] = (max(held) - before) / 1024 / sizes.slow_uploads
    failures = tuple(dict.fromkeys(trickled.failures + probe_failures))
    return Outcome(figures, failures, meter.driver_share)


LOADS: Mapping[str, Callable[[Target, Sizes], Outcome]] = {
    "bulk": bulk,
    "chunks": chunks,
    "small": small,
    "head": heads,
    "slow": slow,
}


def floor(load: str, directory: Path, sizes: Sizes) -> Mapping[str, float]:
    """The floor's figures for a load; empty where no floor is meant."""
    if load == "bulk":
        lengths = [sizes.bulk_bytes] * sizes.bulk_rounds
    elif load == "chunks":
        lengths = [sizes.chunked_bytes] * sizes.chunked_rounds
    else:
        return {}
    return {f"{load}_cpu": floor_cpu_seconds(directory, lengths) * GIB / sum(lengths)}


def _files(target: Target, metric: str, lengths: Sequence[int], patch_bytes: int) -> Outcome:
    _file(target, lengths[0] // _WARM_UP_SHARE, patch_bytes)
    meters = [_file(target, length, patch_bytes) for length in lengths]
    cpu_per_gib = sum(meter.cpu for meter in meters) * GIB / sum(lengths)
    return Outcome({metric: cpu_per_gib}, driver_share=max(m.driver_share for m in meters))


def _file(target: Target, length: int, patch_bytes: int) -> Meter:
    touch(target.scratch, length)
    with Line(target.endpoint) as line:
        meter = Meter(target.pids)
        path = _upload(line, target.endpoint, length, patch_bytes)
        meter.stop()
        shown = line.ask(head(target.endpoint, path))
        shown.expect("HEAD of a finished upload", 200, length)
    _remove(target, [path])
    return meter


def _upload(line: Line, endpoint: Endpoint, length: int, patch_bytes: int) -> str:
    created = line.ask(creation(endpoint, length))
    created.expect("A POST", 201)
    path = created.upload_path
    for offset in range(0, length, patch_bytes):
        size = min(patch_bytes, length - offset)
        reply = line.ask(patch_head(endpoint, path, offset, size), blocks(size))
        reply.expect("A PATCH", 204, offset + size)
    return path


Upload = Callable[[Target, list[str]], Script]


def _small_uploads(target: Target, sizes: Sizes, upload: Upload, metric: str) -> Outcome:
    paths: list[str] = []
    warm_up = sizes.uploads // _WARM_UP_SHARE
    _run(target, (upload(target, paths) for _ in range(warm_up)), sizes)
    touch(target.scratch, sizes.uploads * SMALL_BYTES)
    meter = Meter(target.pids)
    seconds = _run(target, (upload(target, paths) for _ in range(sizes.uploads)), sizes)
    meter.stop()
    sample = paths[:: max(1, len(paths) // 32)]
    _run(target, (_ask_offset(target, path, SMALL_BYTES) for path in sample), sizes)
    _remove(target, paths)
    figures = {
        f"{metric}_cpu": meter.cpu * 1000 / sizes.uploads,
        f"{metric}_p99": percentile(seconds, 99) * 1000,
    }
    return Outcome(figures, driver_share=meter.driver_share)


def _upload_in_two(target: Target, paths: list[str]) -> Script:
    return _begin(target, paths, BLOCK[:SMALL_BYTES], SMALL_BYTES)


def _upload_in_one(target: Target, paths: list[str]) -> Script:
    request = creation(target.endpoint, SMALL_BYTES, BLOCK[:SMALL_BYTES])
    reply: Reply = yield request
    reply.expect("A POST with the bytes", 201, SMALL_BYTES)
    paths.append(reply.upload_path)


def _begin(
    target: Target, paths: list[str], first_bytes: bytes | None, length: int = SMALL_BYTES
) -> Script:
    created: Reply = yield creation(target.endpoint, length)
    created.expect("A POST", 201)
    paths.append(created.upload_path)
    if first_bytes is not None:
        size = len(first_bytes)
        patch = patch_head(target.endpoint, created.upload_path, 0, size) + first_bytes
        reply: Reply = yield patch
        reply.expect("A PATCH", 204, size)


def _ask_offset(target: Target, path: str, offset: int) -> Script:
    reply: Reply = yield head(target.endpoint, path)
    reply.expect("A HEAD", 200, offset)


def _run(target: Target, scripts: Iterator[Script], sizes: Sizes) -> list[float]:
    return run_scripts(target.endpoint, scripts, sizes.connections)


def _remove(target: Target, paths: Sequence[str]) -> None:
    """Leave nothing behind on a server that outlives the run; one that refuses keeps it."""
    if not target.keeps_data:
        return
    with Line(target.endpoint) as line:
        for path in paths:
            line.ask(deletion(target.endpoint, path))
