"""The list of pieces under construction, over the file that they are taken from."""

import base64
import os
from collections.abc import Callable
from typing import BinaryIO, Final

BLOCK: Final = 1024 * 1024


class Pieces:
    """What the stripped file will consist of; a piece that follows its neighbour joins it."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = os.fstat(file.fileno()).st_size
        self.found: list[list[str | int]] = []
        self.file = file

    def read(self, start: int, count: int) -> bytes:
        """So many bytes of the file, fewer at its end."""
        self.file.seek(start)
        return self.file.read(count)

    def whole(self) -> bytes:
        """All bytes, for formats whose files are small."""
        return self.read(0, self.size)

    def keep(self, start: int, end: int) -> None:
        """Take over a range of the file; what lies past its end is not taken."""
        end = min(end, self.size)
        if start >= end:
            return
        last = self.found[-1] if self.found else []
        if last[:1] == ["keep"] and last[2] == start:
            last[2] = end
        else:
            self.found.append(["keep", start, end])

    def put(self, data: bytes) -> None:
        """Add other bytes."""
        self.found.append(["put", base64.b64encode(data).decode("ascii")])

    def replace(self, start: int, data: bytes) -> None:
        """Add these bytes instead of as many at `start`; a range that is the same is kept."""
        if self.read(start, len(data)) == data:
            self.keep(start, start + len(data))
        else:
            self.put(data)

    def blank(self, start: int, end: int) -> None:
        """Add zeros instead of a range; one that is all zeros is kept, to change nothing."""
        end = min(end, self.size)
        if all(not any(self.read(at, min(BLOCK, end - at))) for at in range(start, end, BLOCK)):
            self.keep(start, end)
        elif start < end:
            self.found.append(["zero", end - start])


Strip = Callable[[Pieces], None]
"""Adds the pieces of one file; raises ValueError or IndexError for a structure it cannot follow."""
