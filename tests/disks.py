"""Real disks that are small enough to be filled."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1024 * 1024


@contextmanager
def small_disk(folder: Path, size: int = 8 * MIB) -> Iterator[Path]:
    """A disk of so many bytes at this folder; skips the test where none can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("Only root can mount a small disk to fill.")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"No small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def free(folder: Path) -> int:
    """Bytes that nobody has taken or reserved."""
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize


def fill(folder: Path, leave: int = 0) -> Path:
    """Take all room but so many bytes; the file that takes it."""
    path = folder / "filler"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        os.posix_fallocate(descriptor, 0, free(folder) - leave)
    finally:
        os.close(descriptor)
    return path
