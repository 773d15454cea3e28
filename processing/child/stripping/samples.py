"""Where the samples of a track lie in the file (ISO/IEC 14496-12, 8.7)."""

from collections.abc import Iterator
from itertools import islice, pairwise, repeat

from processing.child.boxes import Box, boxes, descend, whole_numbers
from processing.child.pieces import Pieces

_PAST_ALL = 1 << 32


def samples(pieces: Pieces, track: Box) -> Iterator[tuple[int, int]]:
    """Yield the range of each of its chunks; ValueError when one lies outside the file."""
    table = descend(pieces, track, b"mdia", b"minf", b"stbl")
    found = {box.name: pieces.read(box.body, box.end - box.body) for box in _tables(pieces, table)}
    sizes = _sizes(found)
    offsets = _offsets(found)
    for offset, count in zip(offsets, _counts(found[b"stsc"], len(offsets)), strict=True):
        length = sum(islice(sizes, count))
        if offset + length > pieces.size:
            raise ValueError("A chunk lies outside the file.")
        yield offset, offset + length


def _tables(pieces: Pieces, table: Box) -> Iterator[Box]:
    found = list(boxes(pieces, table.body, table.end))
    if b"stsc" not in {box.name for box in found}:
        raise ValueError("A track has no table of chunks.")
    yield from found


def _sizes(found: dict[bytes, bytes]) -> Iterator[int]:
    if b"stsz" not in found:
        raise ValueError("A track has no table of sizes.")
    data = found[b"stsz"]
    size, count = whole_numbers(data[4:12], 4)
    return repeat(size, count) if size else iter(whole_numbers(data[12 : 12 + 4 * count], 4))


def _offsets(found: dict[bytes, bytes]) -> list[int]:
    if b"co64" in found:
        return whole_numbers(found[b"co64"][8:], 8)
    if b"stco" in found:
        return whole_numbers(found[b"stco"][8:], 4)
    raise ValueError("A track has no table of offsets.")


def _counts(data: bytes, chunks: int) -> Iterator[int]:
    """How many samples each chunk has: runs of (first chunk, samples in each, description)."""
    numbers = whole_numbers(data[8:], 4)
    runs = [*zip(numbers[::3], numbers[1::3], strict=False), (_PAST_ALL, 0)]
    for (first, count), (following, _) in pairwise(runs):
        yield from repeat(count, max(0, min(following, chunks + 1) - first))
