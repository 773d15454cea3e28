"""The loads: each drives one server and returns its figures by metric name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from bench.body import BLOCK, GIB
from bench.extensions import checksum, concat, takeover
from bench.floor import floor_cpu_seconds
from bench.meter import Meter, percentile
from bench.pages import touch
from bench.pool import Script, run_scripts
from bench.procfs import memory_bytes
from bench.slow import PIECE_BYTES, Probe, trickle
from bench.target import CHUNK_BYTES, Outcome, Sizes, Target, remove, upload
from bench.wire import Line, LoadFailed, Reply, creation, head, patch_head

SMALL_BYTES = 4096
_WARM_UP_SHARE = 8


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
    remove(target, paths)
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
    remove(target, paths)
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
    "checksum": checksum,
    "concat": concat,
    "takeover": takeover,
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
        path = upload(line, target.endpoint, length, patch_bytes)
        meter.stop()
        shown = line.ask(head(target.endpoint, path))
        shown.expect("HEAD of a finished upload", 200, length)
    remove(target, [path])
    return meter


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
    remove(target, paths)
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
