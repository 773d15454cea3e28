"""Fresh memory pages, which cost more or less for reasons that are no server's."""

from pathlib import Path

from bench.body import MIB, blocks

_SPARE_BYTES = 64 * MIB


def touch(directory: Path, length: int) -> None:
    """Have this much memory and 64 MiB in use, and free it again.

    In a virtual machine the first use of a page makes the host find one, and the kernel gives
    pages back to the host a few seconds after they are freed: a GiB may then cost 2 CPU seconds
    more to write. Called before every measured file, so that all receivers pay alike.
    """
    path = directory / "touched"
    with path.open("wb", buffering=0) as file:
        for block in blocks(length + _SPARE_BYTES):
            file.write(block)
    path.unlink()
