"""The boxes of ISO base media files (ISO/IEC 14496-12, 4.2), as far as stripping needs them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from processing.child.pieces import Pieces

MOST_BOXES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Box:
    """Its name, and where it starts, where its content starts, and where it ends."""

    name: bytes
    start: int
    body: int
    end: int


def boxes(pieces: Pieces, position: int, end: int, *, trailer: bool = False) -> Iterator[Box]:
    """Yield the boxes of a range; ValueError for what is none, unless it may be a `trailer`."""
    for _ in range(MOST_BOXES):
        head = pieces.read(position, min(16, end - position))
        if not head or (len(head) < 8 and not any(head)):
            return
        length, name, body = int.from_bytes(head[:4], "big"), head[4:8], position + 8
        if length == 1:
            length, body = int.from_bytes(head[8:16], "big"), position + 16
        elif length == 0:
            length = end - position
        if position + length > end or position + length < body:
            if trailer:
                return
            raise ValueError(f"The box at {position} does not end where it says.")
        yield Box(name, position, body, position + length)
        position += length
    raise ValueError(f"There are more than {MOST_BOXES} boxes.")


def descend(pieces: Pieces, box: Box, *names: bytes) -> Box:
    """The first box on a path of names inside another; ValueError when there is none."""
    for name in names:
        inside = boxes(pieces, box.body, box.end)
        found = next((each for each in inside if each.name == name), None)
        if found is None:
            raise ValueError(f"A {box.name!r} has no {name!r}.")
        box = found
    return box


def whole_numbers(data: bytes, width: int) -> list[int]:
    """The unsigned numbers of so many bytes each that `data` is made of."""
    return [int.from_bytes(data[at : at + width], "big") for at in range(0, len(data), width)]


class Patches:
    """Changes in place, noted in any order; the file keeps its length and its positions."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._found: dict[int, tuple[int, bytes | None]] = {}

    def write(self, start: int, data: bytes) -> None:
        """Put these bytes there."""
        self._found[start] = (start + len(data), data)

    def blank(self, start: int, end: int) -> None:
        """Put zeros there; nothing for an empty range."""
        if start < end:
            self._found[start] = (end, None)

    def free(self, box: Box) -> None:
        """Make room of a box: its content is zeros, and no reader looks at it."""
        self.write(box.start + 4, b"free")
        self.blank(box.body, box.end)

    def apply(self, end: int) -> None:
        """Add the pieces of the file up to `end`; ValueError when two changes overlap."""
        position = 0
        for start, (stop, data) in sorted(self._found.items()):
            if start < position:
                raise ValueError(f"Two parts of the file overlap at {start}.")
            self._pieces.keep(position, start)
            if data is None:
                self._pieces.blank(start, stop)
            else:
                self._pieces.replace(start, data)
            position = stop
        self._pieces.keep(position, end)
