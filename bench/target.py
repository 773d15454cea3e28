"""What is measured, by how much, and what every load does with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.body import MIB, blocks
from bench.procfs import MemoryKind
from bench.wire import Endpoint, Line, creation, deletion, patch_head

CHUNK_BYTES = 5 * MIB


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
    takeovers: int = 500

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
            takeovers=self.takeovers // by,
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


def upload(
    line: Line,
    endpoint: Endpoint,
    length: int,
    patch_bytes: int,
    checksums: Sequence[str] | None = None,
) -> str:
    """Send a file in PATCHes of this size, each with its checksum if there are any; its path."""
    created = line.ask(creation(endpoint, length))
    created.expect("A POST", 201)
    path = created.upload_path
    for number, offset in enumerate(range(0, length, patch_bytes)):
        size = min(patch_bytes, length - offset)
        checksum = checksums[number] if checksums is not None else None
        reply = line.ask(patch_head(endpoint, path, offset, size, checksum), blocks(size))
        reply.expect("A PATCH", 204, offset + size)
    return path


def remove(target: Target, paths: Sequence[str]) -> None:
    """Leave nothing behind on a server that outlives the run; one that refuses keeps it."""
    if not target.keeps_data:
        return
    with Line(target.endpoint) as line:
        for path in paths:
            line.ask(deletion(target.endpoint, path))
