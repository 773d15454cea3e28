"""Take places, times, names and devices out of a file, and leave picture and sound as they are."""

import base64
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from processing.reasons import Reason, Rejected
from processing.sandbox import Sandbox, SandboxFailure, SandboxRefusal
from processing.steps.case import Case
from processing.steps.probe import ProbeStep

STRIPPED: Final = "stripped"
"""The name of the stripped file in the folder of new files."""

_BLOCK: Final = 1024 * 1024
_MESSAGE: Final = (
    "The private metadata of the {} cannot be removed; export it again and upload the new file."
)


@dataclass(frozen=True, slots=True)
class StripStep:
    """Sets `source`, `size` and `stripped` where there was something to remove.

    The child only reads, and answers with ranges of the file; they are put together here. What
    comes out is probed again, and must measure the same: the original is about to be deleted.
    Raises Rejected with `metadata_not_removable`, and RuntimeError when the result differs.
    """

    sandbox: Sandbox
    probe: ProbeStep

    def __call__(self, case: Case) -> Case:
        """Strip one valid medium."""
        if case.kind is None or case.folder is None:
            raise ValueError("The kind and a folder must be known before anything is stripped.")
        pieces = self._pieces(case, case.kind.content_type)
        if pieces == [["keep", 0, case.size]]:
            return case
        target = case.folder / STRIPPED
        _assemble(case.source, pieces, target)
        stripped = replace(case, source=target, size=target.stat().st_size, stripped=True)
        try:
            after = self.probe(stripped)
        except Rejected as rejected:
            raise RuntimeError(f"The file without its metadata is broken: {rejected}") from rejected
        if _measured(after) != _measured(case):
            raise RuntimeError("The file without its metadata is not the same medium.")
        return stripped

    def _pieces(self, case: Case, content_type: str) -> list[list[Any]]:
        try:
            answer = self.sandbox.ask("strip", source=case.source, content_type=content_type)
        except (SandboxRefusal, SandboxFailure) as error:
            family = content_type.partition("/")[0]
            reason = Reason("metadata_not_removable", _MESSAGE.format(family))
            raise Rejected(reason) from error
        pieces: list[list[Any]] = answer["pieces"]
        return pieces


def _assemble(source: Path, pieces: Sequence[Sequence[Any]], target: Path) -> None:
    """Write a new file, durably, of ranges of the old one and of bytes of our own."""
    with source.open("rb") as old, target.open("wb") as new:
        for piece in pieces:
            for block in _bytes_of(piece, old):
                new.write(block)
        new.flush()
        os.fsync(new.fileno())


def _bytes_of(piece: Sequence[Any], old: BinaryIO) -> Iterator[bytes]:
    kind, *values = piece
    if kind == "put":
        yield base64.b64decode(values[0], validate=True)
        return
    count = int(values[0]) if kind == "zero" else int(values[1]) - int(values[0])
    if kind == "keep":
        old.seek(int(values[0]))
    while count > 0:
        block = bytes(min(count, _BLOCK)) if kind == "zero" else old.read(min(count, _BLOCK))
        if not block:
            raise ValueError("The file is shorter than it was a moment ago.")
        yield block
        count -= len(block)


def _measured(case: Case) -> tuple[object, ...]:
    """What stripping must not change."""
    if case.image is not None:
        return case.image.width, case.image.height, case.image.rotation, case.image.pictures
    if case.video is None:
        raise ValueError("The medium must be probed before it is stripped.")
    return case.video.tracks, case.video.duration
