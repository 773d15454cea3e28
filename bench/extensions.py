"""Loads of what only some servers have: checksums, concatenation, take-over.

A server that does not announce the extension is left out of its row.
"""

import base64
import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress

from bench.body import BLOCK, GIB, MIB, blocks
from bench.meter import Meter, percentile
from bench.pages import touch
from bench.target import CHUNK_BYTES, Outcome, Sizes, Target, remove, upload
from bench.wire import (
    Line,
    LoadFailed,
    Reply,
    concatenation,
    creation,
    head,
    options,
    part_creation,
    patch_head,
)

_TAKEN_BYTES = 64 * 1024
_SETTLES_WITHIN_SECONDS = 5.0
# A server that takes seconds for each would need half an hour.
_LONGEST_SECONDS = 60.0


def checksum(target: Target, sizes: Sizes) -> Outcome:
    """The bytes of `chunks` with a SHA-1 for each PATCH, against the same without, and the hash."""
    if not _announces(target, "checksum"):
        return Outcome({})
    length = sizes.chunked_bytes
    _send_file(target, length // 8, None)
    plain = checked = hashed = 0.0
    for _ in range(sizes.chunked_rounds):
        plain += _send_file(target, length, None)
        sums, seconds = _sums(length)
        hashed += seconds
        checked += _send_file(target, length, sums)
    gib = length * sizes.chunked_rounds / GIB
    return Outcome(
        {"checksum_cpu": checked / gib, "checksum_ratio": checked / (plain + hashed)},
    )


def concat(target: Target, sizes: Sizes) -> Outcome:
    """Four parts made one: what the final POST alone costs."""
    if not _announces(target, "concatenation"):
        return Outcome({})
    length = sizes.chunked_bytes
    paths = [_part(target, length) for _ in range(4)]
    touch(target.scratch, 4 * length)
    with Line(target.endpoint) as line:
        meter = Meter(target.pids)
        reply = line.ask(concatenation(target.endpoint, paths))
        meter.stop()
        reply.expect("A concatenation", 201)
        final = reply.upload_path
        line.ask(head(target.endpoint, final)).expect("HEAD of the whole", 200, 4 * length)
    remove(target, [final])
    return Outcome({"concat_cpu": meter.cpu, "concat_wall": meter.wall})


def takeover(target: Target, sizes: Sizes) -> Outcome:
    """Connections that fall silent in the middle, and newcomers that go on from their offset.

    As many as fit into a minute.
    """
    body = BLOCK[:_TAKEN_BYTES]
    half = _TAKEN_BYTES // 2
    seconds: list[float] = []
    lost = 0
    paths: list[str] = []
    give_up = time.monotonic() + _LONGEST_SECONDS
    while len(paths) < sizes.takeovers and time.monotonic() < give_up:
        with Line(target.endpoint) as silent, Line(target.endpoint) as line:
            created = line.ask(creation(target.endpoint, _TAKEN_BYTES))
            created.expect("A POST", 201)
            paths.append(created.upload_path)
            silent.send(patch_head(target.endpoint, created.upload_path, 0, _TAKEN_BYTES))
            silent.send_more(body[:half])
            try:
                _offset_is(target, line, created.upload_path, half)
                began = time.perf_counter()
                rest = patch_head(target.endpoint, created.upload_path, half, half)
                reply = line.ask(rest, [memoryview(body[half:])])
                seconds.append(time.perf_counter() - began)
                reply.expect("The PATCH that takes over", 204, _TAKEN_BYTES)
            except LoadFailed:
                lost += 1
    with suppress(LoadFailed):
        remove(target, paths)
    figures = {"takeover_lost": float(lost), "takeover_done": float(len(paths))}
    if seconds:
        figures["takeover_p99"] = percentile(seconds, 99) * 1000
    return Outcome(figures)


def _announces(target: Target, extension: str) -> bool:
    with Line(target.endpoint) as line:
        reply: Reply = line.ask(options(target.endpoint))
    return extension in reply.headers.get("tus-extension", "").split(",")


def _sums(length: int) -> tuple[list[str], float]:
    """The SHA-1 of every chunk, and the CPU seconds that hashing alone takes."""
    sums = []
    began = time.process_time()
    for offset in range(0, length, CHUNK_BYTES):
        hashed = hashlib.sha1(usedforsecurity=False)
        for block in blocks(min(CHUNK_BYTES, length - offset)):
            hashed.update(block)
        sums.append("sha1 " + base64.b64encode(hashed.digest()).decode("ascii"))
    return sums, time.process_time() - began


def _send_file(target: Target, length: int, sums: Sequence[str] | None) -> float:
    touch(target.scratch, length)
    with Line(target.endpoint) as line:
        meter = Meter(target.pids)
        path = upload(line, target.endpoint, length, CHUNK_BYTES, sums)
        meter.stop()
    remove(target, [path])
    return meter.cpu


def _part(target: Target, length: int) -> str:
    with Line(target.endpoint) as line:
        created = line.ask(part_creation(target.endpoint, length))
        created.expect("A POST of a part", 201)
        for offset in range(0, length, 64 * MIB):
            size = min(64 * MIB, length - offset)
            request = patch_head(target.endpoint, created.upload_path, offset, size)
            line.ask(request, blocks(size)).expect("A PATCH", 204, offset + size)
    return created.upload_path


def _offset_is(target: Target, line: Line, path: str, offset: int) -> None:
    """Wait until HEAD shows that the silent connection's bytes are in."""
    give_up = time.monotonic() + _SETTLES_WITHIN_SECONDS
    while True:
        reply = line.ask(head(target.endpoint, path))
        if reply.headers.get("upload-offset") == str(offset):
            return
        if time.monotonic() > give_up:
            raise LoadFailed("HEAD did not show the bytes that were sent.")
        time.sleep(0.005)
