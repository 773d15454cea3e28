"""Fresh memory pages, which cost more or less for reasons that are no server's."""

from pathlib import Path

from bench.body import blocks


def touch(directory: Path, length: int) -> None:
    """Have this much memory in use and free it again.

    In a virtual machine the first use of a page makes the host find one, and the kernel gives
    pages back to the host a few seconds after they are freed: a GiB may then cost 2 CPU seconds
    more to write. Called before every measured file, so that all receivers pay alike: nothing.
    """
    path = directory / "touched"
    with path.open("wb", buffering=0) as file:
        for block in blocks(length):
            file.write(block)
    path.unlink()
